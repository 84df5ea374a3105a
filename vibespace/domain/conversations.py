"""A conversation with an agent: whether it works, and on what. The agent has one that is current."""

from __future__ import annotations

from typing import Any

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate, acting_at
from vibespace.errors import FailedPrecondition

_AT_ONCE = 1.0
"""Seconds in which to ask for an end of its work again is no word about how that went."""


class Conversation(Aggregate):
    """What it was about is in the agent's transcript; this is how it stands."""

    TOPIC = "conversation"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    class InterruptRequested(Event):
        """When that was is told by it alone."""

        TOPIC = "conversation.interrupt_requested"
        turn: str
        insists: bool

        def apply(self, aggregate: Conversation) -> None:
            aggregate.interrupted_at = self.timestamp.timestamp()

    @event("Created", topic="conversation.created")
    def __init__(self, agent_uid: str, vibespace: str, agent: str, program_session: str) -> None:
        self.agent_uid = agent_uid
        self.vibespace = vibespace
        self.agent = agent
        self.program_session = program_session
        self.begun = False
        self.turn = ""
        self.working = False
        self.interrupted = ""
        self.interrupted_at = 0.0
        self.insisted = False
        self.wants_terminal = False
        self.on_terminal = False
        self.superseded = False

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.conversation_name(created["vibespace"], created["agent"], str(created["id"]))

    @property
    def subject(self) -> str:
        return names.conversation_name(self.vibespace, self.agent, self.uid)

    @property
    def _who(self) -> str:
        return names.called(self.vibespace, self.agent)

    @property
    def gone(self) -> bool:
        return self.superseded

    @property
    def was_just_interrupted(self) -> bool:
        """Who asks for that now has not seen yet what came of it, whoever asked."""
        return 0 <= acting_at().timestamp() - self.interrupted_at < _AT_ONCE

    def enter(self, program_session: str) -> None:
        """The program is in it, under an id that it may have made up."""
        if not self.begun or self.program_session != program_session:
            self._enter(program_session=program_session)

    def start_turn(self, turn: str) -> None:
        """The agent begins to work on what it was told."""
        if self.turn != turn:
            self._start_turn(turn=turn)

    def end_turn(self, turn: str, reason: str, detail: str, usage: dict[str, int], cost: int | None) -> None:
        """It is over; `cost` in millionths of a US dollar. What it left running goes on until `end_work`."""
        self._end_turn(turn=turn, reason=reason, detail=detail, usage=usage, cost=cost)

    def end_work(self) -> None:
        """Nothing runs any more."""
        if self.working or self.insisted:
            self._end_work()

    def interrupt(self, *, handed: bool = False) -> None:
        """End what it works on; asked again, or for what it has left running or was `handed`, end its program.

        Raises FailedPrecondition AGENT_IDLE.
        """
        if self.turn and self.interrupted != self.turn:
            self._interrupt(turn=self.turn, insists=False)
        elif self.turn and self.was_just_interrupted:
            pass  # somebody else asked the same
        elif self.turn or self.working or handed:
            if not self.insisted:
                self._interrupt(turn=self.turn, insists=True)
        else:
            raise FailedPrecondition(
                "AGENT_IDLE",
                f"'{self.agent}' of '{self.vibespace}' works on nothing.",
                hint=f"What waits is left alone. 'vibespace ask -a {self._who} MESSAGE' gives it something to do.",
            )

    def want_terminal(self) -> None:
        """Somebody wants the program's own interface."""
        if not self.wants_terminal:
            self._want_terminal()

    def attach_terminal(self) -> None:
        """The program runs on a terminal: whoever has that has the conversation."""
        if not self.on_terminal:
            self._attach_terminal()

    def detach_terminal(self) -> None:
        """It does not, or nobody wants it any more."""
        if self.wants_terminal or self.on_terminal:
            self._detach_terminal()

    def supersede(self) -> None:
        """Another one is current from now on. Raises FailedPrecondition ON_TERMINAL, AGENT_WORKING."""
        if self.on_terminal:
            raise FailedPrecondition(
                "ON_TERMINAL",
                f"The program of '{self.agent}' of '{self.vibespace}' runs on a terminal.",
                hint=f"Begin a new conversation there, or leave the program first: 'vibespace connect {self._who}'.",
            )
        if self.working:
            raise FailedPrecondition(
                "AGENT_WORKING",
                f"'{self.agent}' of '{self.vibespace}' is at work.",
                hint=f"Wait for it, or end that with 'vibespace agent interrupt {self._who}'.",
            )
        self._supersede()

    def switch(self) -> None:
        """The program itself has begun another one."""
        self._supersede()

    @event("Entered", topic="conversation.entered")
    def _enter(self, program_session: str) -> None:
        self.program_session = program_session
        self.begun = True

    @event("TurnStarted", topic="conversation.turn_started")
    def _start_turn(self, turn: str) -> None:
        self.turn = turn
        self.working = True

    @event("TurnEnded", topic="conversation.turn_ended")
    def _end_turn(self, turn: str, reason: str, detail: str, usage: dict[str, int], cost: int | None) -> None:  # noqa: ARG002 (kept in the log alone)
        self.turn = ""
        self.interrupted = ""

    @event("WorkEnded", topic="conversation.work_ended")
    def _end_work(self) -> None:
        self.working = False
        self.insisted = False

    @event(InterruptRequested)
    def _interrupt(self, turn: str, insists: bool) -> None:
        self.interrupted = turn
        self.insisted = insists

    @event("TerminalRequested", topic="conversation.terminal_requested")
    def _want_terminal(self) -> None:
        self.wants_terminal = True

    @event("TerminalAttached", topic="conversation.terminal_attached")
    def _attach_terminal(self) -> None:
        self.wants_terminal = True
        self.on_terminal = True

    @event("TerminalDetached", topic="conversation.terminal_detached")
    def _detach_terminal(self) -> None:
        self.wants_terminal = False
        self.on_terminal = False

    @event("Superseded", topic="conversation.superseded")
    def _supersede(self) -> None:
        self.superseded = True
