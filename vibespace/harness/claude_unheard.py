"""What a person has typed on Claude's terminal that the transcript does not have yet.

A hook tells it at once. Claude Code writes it down when it begins with it: a moment later, or, of what is typed while
it works, when its queue comes to it. The transcript tells what comes into that queue and goes; nothing of it outlives
the program. Of what else waits there no hook tells, such as a command for the shell, or that something in the
background is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vibespace.harness.events import Event, Text
from vibespace.harness.reading import Object, called, text

MOST = 64
"""Prompts that wait, and that are remembered."""
LONGEST = 1 << 20
"""Characters of one that are kept."""


class Unheard:
    """Of one life of the terminal."""

    def __init__(self) -> None:
        self._prompt, self._words = "", ""
        """What a hook has told last; of what is to wait, the prompt is the one at work."""
        self._queue: list[str] = []
        self._told: list[str] = []
        """What was told without the transcript, the prompt of the last before all words: it may yet have them."""

    def prompted(self, said: Object) -> None:
        """A hook tells what was typed."""
        self._prompt, self._words = called(said, "prompt_id"), text(said, "prompt")[:LONGEST]

    def settled(self) -> None:
        """What the hook told last is in the transcript or the queue; or its turn is over, and it will never be."""
        self._prompt, self._words = "", ""

    def queued(self, said: Object) -> None:
        """The transcript tells of the queue: each leaves it at its front, but for one that joins the turn."""
        words = text(said, "content")[:LONGEST]
        match text(said, "operation"):
            case "enqueue" if words and words == self._words:
                self._queue = [*self._queue, words][:MOST]
                self.settled()
            case "remove" if words in self._queue:
                self._queue.remove(words)
            case "dequeue":
                self._queue = self._queue[1:]
            case "popAll":
                self._queue = []

    def is_told(self, prompt: str, words: str) -> bool:
        """Whether the words that the transcript has are known already; from now on they are."""
        if prompt == self._prompt:
            self.settled()
        return words in self._told or (prompt != "" and prompt in self._told[:1])

    def lost(self, conversation: str, turn: str) -> list[Event]:
        """The program is over: what it was told, and told nobody."""
        said = [("", words, "") for words in self._queue]
        said += [(self._prompt, self._words, turn)] if self._words else []
        self._told, self._queue = [self._prompt, *(words for _, words, _ in said)], []
        self.settled()
        return [
            Text(id=prompt, text=words, by_user=True, conversation=conversation, turn=within)
            for prompt, words, within in said
        ]

    def state(self) -> dict[str, Any]:
        """See Parser.state."""
        return {"prompt": self._prompt, "words": self._words, "queue": list(self._queue), "told": list(self._told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See Parser.restore."""
        self._prompt, self._words = state["prompt"], state["words"]
        self._queue, self._told = list(state["queue"]), list(state["told"])
