"""Which of the questions that a program asks wait for a decision; any other is declined before it is recorded."""

from __future__ import annotations

from collections import deque
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

MOST_REMEMBERED = 1000
"""Names of questions that are over; those over for the longest are forgotten, for a program may live for weeks."""
LONGEST_NAME = 200
"""Characters of one."""
MOST_WAITING = 4 << 20
"""Characters of all questions that wait at once: each is kept, and shown to who decides, whole."""


class Questions:
    """Of one life of a program, or of one connection with it."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        """`named` are those of earlier ones."""
        self._over = deque(named, MOST_REMEMBERED)
        self._waiting: dict[str, tuple[str, int]] = {}
        """The conversation of each, and how many characters it has."""

    def named(self) -> list[str]:
        """The names under which it has asked, as far as they are remembered."""
        return [*self._over, *self._waiting]

    def take(self, event: Event) -> Event:
        """The event, or that a question is declined."""
        match event:
            case ApprovalAnswered() | ApprovalCancelled():
                self._end(event.request)
            case TurnEnded():
                for name in [name for name, each in self._waiting.items() if each[0] == event.conversation]:
                    self._end(name)
            case ApprovalAsked():
                if why := self._why_not(event):
                    where: Where = {"conversation": event.conversation, "turn": event.turn, "parent": event.parent}
                    return Unparsed(why=why, kind=event.tool, request=event.request, **where)
                self._waiting[event.request] = event.conversation, len(repr(event))
        return event

    def _end(self, name: str) -> None:
        if self._waiting.pop(name, None):
            self._over.append(name)

    def _why_not(self, asked: ApprovalAsked) -> str:
        """Under a name that it has used before nothing is asked: an answer would be about what was shown then."""
        if asked.request in self._waiting or asked.request in self._over:
            return "a question under the name of an earlier one"
        if len(asked.request) > LONGEST_NAME:
            return "a question under too long a name"
        if sum(size for _, size in self._waiting.values()) + len(repr(asked)) > MOST_WAITING:
            return "more questions than can be kept"
        return ""
