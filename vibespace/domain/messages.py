"""A message to an agent, and how far its delivery is."""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate

QUEUED, HANDED, ACKNOWLEDGED = "queued", "handed", "acknowledged"
"""It waits; it was written to the program; the program works on it."""
DONE, FAILED, UNCERTAIN = "done", "failed", "uncertain"
"""Its end: the turn is over; the agent never took it, or not to an end; nobody knows whether the program has it."""


class Message(Aggregate):
    """What is said is never said twice without its author: what may have arrived is looked up, or called uncertain."""

    TOPIC = "message"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="message.said")
    def __init__(
        self,
        agent_uid: str,
        vibespace: str,
        agent: str,
        author: str,
        text: str,
        steers: bool,
        is_command: bool,
        takes_over: bool = False,  # older events do not
    ) -> None:
        self.agent_uid = agent_uid
        self.vibespace = vibespace
        self.agent = agent
        self.author = author
        self.text = text
        self.steers = steers
        self.is_command = is_command
        self.takes_over = takes_over
        self.state = QUEUED
        self.tries = 0
        self.resumed = False
        self.turn = ""
        self.former = ""
        self.reason = ""
        self.trouble = ""

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.message_name(created["vibespace"], created["agent"], str(created["id"]))

    @property
    def subject(self) -> str:
        return names.message_name(self.vibespace, self.agent, self.uid)

    @property
    def gone(self) -> bool:
        return self.state in (DONE, FAILED, UNCERTAIN)

    @property
    def delivery(self) -> str:
        """The id under which the program is told, and under which it ignores a repeat."""
        return str(uuid5(self.id, "resumed")) if self.resumed else self.uid

    @property
    def can_resume(self) -> bool:
        """Once; and to go on with a command of the program's own means nothing to it."""
        return not (self.gone or self.resumed or self.is_command)

    def was_joined_by(self, other: Message) -> bool:
        """`other` joined the turn that this is to go on with, or goes on with: its end is that of both."""
        return other.id != self.id and bool(self.former) and other.state == ACKNOWLEDGED and other.turn == self.former

    def hand(self) -> None:
        """It is written to the program, from now on."""
        if self.state == QUEUED:
            self._hand()

    def queue_again(self) -> None:
        """The program did not take it up, and is known not to have it. What it was to join is over."""
        if self.state == HANDED:
            self._queue_again()

    def acknowledge(self, turn: str) -> None:
        """The program has taken it up."""
        if self.state in (QUEUED, HANDED):
            self._acknowledge(turn=turn)

    def finish(self, reason: str, detail: str = "", trouble: str = "") -> None:
        """The turn that it led to, or joined, is over: why, and what its failure is about."""
        if not self.gone:
            self._finish(reason=reason, detail=detail, trouble=trouble)

    def resume(self) -> None:
        """What worked on it went away: the next program is told to go on, once."""
        if self.can_resume:
            self._resume()

    def fail(self, reason: str) -> None:
        """The agent will not work on it."""
        if not self.gone:
            self._fail(reason=reason)

    def give_up(self, reason: str) -> None:
        """It comes to no end: what was worked on is lost, all else fails."""
        if self.state == ACKNOWLEDGED:
            self.finish("lost", reason)
        else:
            self.fail(reason)

    def lose(self) -> None:
        """Whether the program has it cannot be found out."""
        if not self.gone:
            self._lose()

    @event("Handed", topic="message.handed")
    def _hand(self) -> None:
        self.state = HANDED
        self.tries += 1

    @event("QueuedAgain", topic="message.queued_again")
    def _queue_again(self) -> None:
        self.state = QUEUED
        self.steers = False

    @event("Resumed", topic="message.resumed")
    def _resume(self) -> None:
        self.state = QUEUED
        self.resumed = True
        self.steers = False
        self.former, self.turn = self.turn, ""

    @event("Acknowledged", topic="message.acknowledged")
    def _acknowledge(self, turn: str) -> None:
        self.state = ACKNOWLEDGED
        self.turn = turn

    @event("Done", topic="message.done")
    def _finish(self, reason: str, detail: str, trouble: str = "") -> None:  # older events have no trouble
        self.state = DONE
        self.trouble = trouble
        self.reason = f"{reason}: {detail}" if detail else reason

    @event("Failed", topic="message.failed")
    def _fail(self, reason: str) -> None:
        self.state = FAILED
        self.reason = reason

    @event("Uncertain", topic="message.uncertain")
    def _lose(self) -> None:
        self.state = UNCERTAIN
