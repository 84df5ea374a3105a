"""What a program's hooks tell, and what those that ask are answered."""

from __future__ import annotations

import json
from collections.abc import Callable

from vibespace.runner.journal import Journal
from vibespace.runner.transcript import Transcript

GONE = "PermissionRequestGone"
"""Not of the program: a hook that asked has ended without an answer, for the person has decided in the dialog."""


class Hooks:
    """Those that wait, by the id of what they ask."""

    def __init__(self, journal: Journal, transcript: Transcript) -> None:
        self._journal = journal
        self._transcript = transcript
        self._waiting: dict[str, Callable[[bytes], None]] = {}

    def tell(self, line: bytes) -> None:
        """One that waits for nothing. What the transcript has by now is told before it."""
        self._transcript.look()
        self._journal.append("hook", line)

    def ask(self, name: str, line: bytes, answer: Callable[[bytes], None]) -> None:
        """One that waits until `answer` is called; that raises OSError when nobody waits any more."""
        if name in self._waiting:
            raise ValueError(f"{name} waits already")
        self._waiting[name] = answer
        self.tell(line)

    def answer(self, name: str, data: bytes) -> str:
        """`given`, or `gone` when nobody waits for it."""
        answer = self._waiting.pop(name, None)
        if not answer:
            return "gone"
        try:
            answer(data)
        except OSError:
            self._gone(name)
            return "gone"
        return "given"

    def leave(self, name: str) -> None:
        """Who asked has ended."""
        if self._waiting.pop(name, None):
            self._gone(name)

    def _gone(self, name: str) -> None:
        self.tell(json.dumps({"hook_event_name": GONE, "request_id": name}).encode() + b"\n")
