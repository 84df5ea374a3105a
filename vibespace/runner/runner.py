"""What is asked of the runner."""

from __future__ import annotations

import threading
from typing import Any

from vibespace.runner.journal import Journal
from vibespace.runner.places import put
from vibespace.runner.program import Pipes
from vibespace.runner.taken import Taken


class Runner:
    """One program at a time, and who is attached."""

    def __init__(self) -> None:
        self.journal = Journal()
        if not self.journal.ended:
            self.journal.append("exit", b'{"lost": true}')
        self._taken = Taken(self.journal)
        self._program: Pipes | None = None
        self._starting = threading.Lock()
        self._speaking = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether a program does."""
        return self._program is not None and not self._program.over.is_set()

    def answer(self, request: dict[str, Any], data: bytes) -> dict[str, Any]:
        """The reply to a request, see the package. Raises ValueError for what is none."""
        match request:
            case {"do": "start", "argv": [_, *_] as argv, "env": dict() as env, "cwd": str() as cwd}:
                put(request.get("files", {}))
                return self._start([str(word) for word in argv], env, cwd, request.get("note"))
            case {"do": "input", "input": str() as name} if (
                0 < len(name) <= 200 and name.isprintable() and " " not in name
            ):
                return {"input": name, "state": self._input(name, data)}
            case {"do": "close"}:
                with self._speaking:
                    if self._program:
                        self._program.close()
                return {}
            case {"do": "end"}:
                if self._program:
                    self._program.end()
                return {}
            case {"do": "trim", "to": [int() as epoch, int() as seq]}:
                return {"removed": self.journal.trim((epoch, seq))}
        raise ValueError(f"not a request: {sorted(request)}")

    def _start(self, argv: list[str], env: dict[str, str], cwd: str, note: object) -> dict[str, Any]:
        with self._starting:
            started = not self.running
            if started:
                with self._speaking:
                    if self._program:
                        self._program.close()
                    self._program = Pipes(self.journal, argv, env, cwd, note)
            return {"epoch": self.journal.epoch, "started": started}

    def _input(self, name: str, data: bytes) -> str:
        with self._speaking:
            if state := self._taken.state(name):
                return state
            if not self._program or not self._program.listens:
                return "refused"
            self._taken.add("begun", name)
            self.journal.append("input", name.encode() + b"\n" + data)
            if not self._program.write(data):
                return "uncertain"
            self._taken.add("wrote", name)
            return "written"
