"""What is known of an agent's program that runs, by what it has said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    ConversationJoined,
    ConversationSwitched,
    Delta,
    Error,
    Event,
    Reasoning,
    Replied,
    SettingsStrayed,
    Text,
    ToolCall,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
)

_MOST = 1000
"""Requests of one life that are remembered, each way. It has a few, unless somebody means to fill our memory."""
_PASSING = ("interrupt-", "limit-", "look-", "message-", "recall-")
"""What is asked for each message, or turn, begins so: of more than so many requests those are forgotten first."""
_LONGEST = 200
"""Characters of a name; ours are shorter, and the runner takes no longer one."""
_LONGEST_REFUSAL = 1000
_MOST_WRITTEN = 50_000


@dataclass
class Live:
    """One life of it. Told the same again, it is the same."""

    epoch: int = 0
    running: bool = False
    on_terminal: bool = False
    listens: bool = True
    """It can be told something: what serves a socket only while that is connected."""
    connections: int = 0
    """Of its socket, so far; what was said over one is not heard over the next."""
    turn: str = ""
    conversation: str = ""
    """The program's own id of the one that it is in."""
    beside: list[str] = field(default_factory=list)
    """Others that a person has entered since it is in that one."""
    strayed: dict[str, int] = field(default_factory=dict)
    """How often each was seen to work by settings that nobody chose."""
    answers: bool = False
    """Its model is at work in this turn: one that is a person's command alone it is not asked about."""
    rounds: int = 0
    """Tools that it has used in this turn, itself."""
    logged_out: bool = False
    """Its last turn in this conversation has failed for its login."""
    worked: bool = False
    """It has taken up what it was told, or a person's words."""
    asked: dict[str, ApprovalAsked] = field(default_factory=dict)
    """Tool calls that wait, by request."""
    unknown: list[str] = field(default_factory=list)
    """Requests of it that are not known."""
    replied: dict[str, str] = field(default_factory=dict)
    """Request of ours -> refusal, empty when it was done."""
    written: set[str] = field(default_factory=set)
    """Names of what it was given."""
    amid: dict[str, str] = field(default_factory=dict)
    """Of what it was given while a turn ran, in which."""

    def told(self) -> dict[str, Any] | None:
        """All of it in JSON values; None while a tool call waits: what that would do is not to be kept."""
        if self.asked:
            return None
        return {name: sorted(value) if isinstance(value, set) else value for name, value in asdict(self).items()}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Live:
        """The one that told that."""
        return cls(**{**told, "written": set(told["written"])})

    def connect(self) -> None:
        """Its socket is connected: it is greeted again, asked to go on with the conversation, and asks again itself."""
        self.asked, self.unknown, self.strayed = {}, [], {}
        self.listens, self.connections, self.conversation = True, self.connections + 1, ""

    def wrote(self, name: str) -> None:
        """The journal has that it was given this."""
        if len(name) <= _LONGEST and len(self.written) < _MOST_WRITTEN:
            self.written.add(name)
            if self.turn:
                self.amid[name] = self.turn
            if len(self.amid) > _MOST:
                del self.amid[next(iter(self.amid))]

    def saw(self, events: Sequence[Event]) -> None:
        """It told these."""
        for event in events:
            self._take(event)

    def is_here(self, event: Event) -> bool:
        """It is about the conversation that is open, not a helper's own."""
        return not (self.conversation and event.conversation) or event.conversation == self.conversation

    def _take(self, event: Event) -> None:
        if isinstance(event, Text) and event.by_user:
            self.worked = True
        match event:
            case TurnStarted() if self.is_here(event):
                self.turn, self.answers, self.rounds, self.logged_out = event.turn, False, 0, False
            case Error(trouble=Trouble.LOGIN, retrying=False) if self.is_here(event):
                self.logged_out = True
            case TurnEnded():
                over = [name for name, each in self.asked.items() if each.conversation == event.conversation]
                for name in over:
                    del self.asked[name]
                if self.is_here(event):
                    self.turn, self.answers = "", False
            case ToolCall(parent="") if self.is_here(event):
                self.rounds += 1
            case Text(parent="") | Reasoning(parent="") | Delta(parent="") if self.is_here(event):
                self.answers = bool(self.turn)
            case ConversationJoined():
                if event.conversation not in self.beside and len(event.conversation) <= _LONGEST:
                    self.beside = [*self.beside, event.conversation][-_MOST:]
            case SettingsStrayed() if len(event.conversation) <= _LONGEST:
                if event.conversation in self.strayed or len(self.strayed) < _MOST:
                    self.strayed[event.conversation] = self.strayed.get(event.conversation, 0) + 1
            case ConversationSwitched():
                self.conversation = event.conversation
                self.beside = self.beside if event.previous == event.conversation else []
            case ApprovalAsked():
                self.asked[event.request] = event
            case ApprovalAnswered() | ApprovalCancelled():
                self.asked.pop(event.request, None)
            case Unparsed(request=request) if request:
                if request not in self.unknown and len(request) <= _LONGEST:
                    self.unknown = [*self.unknown, request][-_MOST:]  # the oldest is declined long since
            case Replied():
                self._hear(event.request, event.refusal)

    def _hear(self, request: str, refusal: str) -> None:
        if len(request) <= _LONGEST:
            self.replied[request] = self.replied.get(request) or refusal[:_LONGEST_REFUSAL]
            if len(self.replied) > _MOST:
                passing = (name for name in self.replied if name.startswith(_PASSING) and name != request)
                del self.replied[next(passing, next(iter(self.replied)))]
