"""Which of the questions that a program asks wait for a decision; any other is declined before it is recorded."""

from __future__ import annotations

from collections.abc import Iterable

from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Event,
    TurnEnded,
    Unparsed,
    Where,
)

MOST_ASKED = 10_000
"""Questions of one life of a program, each under a name of its own, which has at most so many characters:"""
LONGEST_NAME = 200
MOST_WAITING = 4 << 20
"""Characters of all questions that wait at once: each is kept, and shown to who decides, whole."""


class Questions:
    """Of one life of a program, or of one connection with it."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """`named` are those of earlier ones."""
        self._named = set(named)
        self._waiting: dict[str, tuple[str, int]] = {}
        """The conversation of each, and how many characters it has."""

    def named(self) -> list[str]:
        """The names under which it has asked."""
        return sorted(self._named)

    def take(self, event: Event) -> Event:
        """The event, or that a question is declined."""
        match event:
            case ApprovalAnswered() | ApprovalCancelled():
                self._waiting.pop(event.request, None)
            case TurnEnded():
                self._waiting = {name: each for name, each in self._waiting.items() if each[0] != event.conversation}
            case ApprovalAsked():
                if why := self._why_not(event):
                    where: Where = {"conversation": event.conversation, "turn": event.turn, "parent": event.parent}
                    return Unparsed(why=why, kind=event.tool, request=event.request, **where)
                self._named.add(event.request)
                self._waiting[event.request] = event.conversation, len(repr(event))
        return event

    def _why_not(self, asked: ApprovalAsked) -> str:
        """Under a name that it has used before nothing is asked: an answer would be about what was shown then."""
        if asked.request in self._named:
            return "a question under the name of an earlier one"
        if len(self._named) >= MOST_ASKED or len(asked.request) > LONGEST_NAME:
            return "too many questions"
        if sum(size for _, size in self._waiting.values()) + len(repr(asked)) > MOST_WAITING:
            return "more questions than can be kept"
        return ""
