"""What a Claude Code process is in the midst of, whichever source tells it: its conversation, and its turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from vibespace.harness.claude_approvals import Open
from vibespace.harness.claude_messages import conversation_of
from vibespace.harness.claude_unheard import Unheard
from vibespace.harness.events import (
    ConversationSwitched,
    Event,
    Reason,
    Trouble,
    TurnEnded,
    TurnStarted,
    Where,
    WorkEnded,
)
from vibespace.harness.reading import Object, text

_REMEMBERED = 64
"""Turns by which the transcript may be behind the hooks."""

Events = tuple[Event, ...]


class Amid:
    """A turn of the headless door is called by the uuid of `init`, a typed one by its prompt's id."""

    def __init__(self) -> None:
        self.conversation = ""
        self.turn = ""
        """The headless one."""
        self.typed = ""
        """The terminal's turn."""
        self.over: deque[str] = deque(maxlen=_REMEMBERED)
        """The terminal's turns that have ended: the transcript may tell of them only now."""
        self.busy = False
        """Whether something runs in the background."""
        self.open = Open()
        self.unheard = Unheard()

    def state(self) -> dict[str, Any] | None:
        """As Parser.state."""
        calls = self.open.state()
        if calls is None:
            return None
        where = {"conversation": self.conversation, "turn": self.turn, "typed": self.typed, "over": [*self.over]}
        return {**where, "busy": self.busy, "calls": calls, "unheard": self.unheard.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.conversation, self.turn, self.typed = state["conversation"], state["turn"], state["typed"]
        self.over.extend(state["over"])
        self.busy = state["busy"]
        self.open.restore(state["calls"])
        self.unheard.restore(state["unheard"])

    def lost(self) -> Events:
        """As Parser.lost."""
        cancelled = self.open.close()
        turn, busy = self.turn or self.typed, self.busy or self.unheard.waits
        cancelled += tuple(self.unheard.lost(self.conversation))
        self.over.append(self.typed)
        self.turn = self.typed = ""
        self.busy = False
        if turn:
            over = TurnEnded(id=turn, turn=turn, conversation=self.conversation, reason=Reason.LOST)
            return (*cancelled, over, *self.idle(turn))
        return (*cancelled, *self.idle("")) if busy else cancelled

    def switch(self, conversation: str) -> Events:
        """It is in that one now."""
        previous, self.conversation = self.conversation, conversation or self.conversation
        if self.conversation == previous:
            return ()
        return (ConversationSwitched(id=conversation, conversation=conversation, previous=previous),)

    def idle(self, name: str, conversation: str = "") -> Events:
        """All work is over, unless something goes on in the background or waits in its queue."""
        if self.busy or self.unheard.waits:
            return ()
        return (WorkEnded(id=name, conversation=conversation or self.conversation),)

    def typed_starts(self, said: Object, turn: str) -> Events:
        """A prompt that is told while another turn is open says that the other is over."""
        if turn in ("", self.typed, *self.over):
            return ()
        before = self.typed_ends(said, Reason.INTERRUPTED, by_next=True)
        self.typed = turn
        return (*before, TurnStarted(id=turn, turn=turn, conversation=conversation_of(said)))

    def typed_ends(
        self, said: Object, reason: Reason, detail: str = "", trouble: Trouble | None = None, *, by_next: bool = False
    ) -> Events:
        """Of the terminal's turn, if there is one."""
        turn, self.typed = self.typed, ""
        if not turn:
            return ()
        self.over.append(turn)
        if not by_next:
            self.unheard.ended()
        where: Where = {"conversation": conversation_of(said), "turn": turn}
        over = TurnEnded(id=turn, reason=reason, detail=detail, trouble=trouble, **where)
        return (*self.open.close(), over, *self.idle(turn, over.conversation))


def where_of(said: Object, turn: str) -> Where:
    """Of a line that is about `turn`."""
    return {"conversation": conversation_of(said), "turn": turn, "parent": text(said, "parent_tool_use_id")}
