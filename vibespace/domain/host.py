"""The machine: which engine it uses, and whether everything is at rest. Its uid is the log's id."""

from __future__ import annotations

from typing import Any

from eventsourcing.domain import event

from vibespace.domain.aggregate import Aggregate
from vibespace.errors import FailedPrecondition

SUBJECT = "host"


class Host(Aggregate):
    """One per log, and its first event."""

    TOPIC = "host"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    class EngineUnreachable(Event):
        """When that was is told by the first of several in a row."""

        TOPIC = "host.engine_unreachable"
        reason: str

        def apply(self, aggregate: Host) -> None:
            aggregate.lost_at = aggregate.lost_at or self.timestamp.timestamp()

    @event("Created", topic="host.created")
    def __init__(self) -> None:
        self.engine: dict[str, Any] = {}
        self.image = ""
        self.base = ""
        self.resting = False
        self.reachable = False
        self.reason = ""
        self.lost_at = 0.0

    @classmethod
    def name_subject(cls, **_: Any) -> str:
        return SUBJECT

    @property
    def subject(self) -> str:
        return SUBJECT

    def initialize(self, engine: dict[str, Any], image: str, base: str = "") -> None:
        """Choose the engine, once; a newer version of the same one, another image and another base of it may follow."""
        if self.engine and (self.engine["brand"], self.engine["address"]) != (engine["brand"], engine["address"]):
            raise FailedPrecondition(
                "ENGINE_CHOSEN",
                f"This state directory uses {self.engine['brand']} at {self.engine['address']}.",
                hint="Set VIBESPACE_HOME to another directory to use another engine.",
            )
        if (engine, image, base) != (self.engine, self.image, self.base):
            self._initialize(engine=engine, image=image, base=base)

    def rest(self) -> None:
        """Everything stops; nobody's own intent changes."""
        if not self.resting:
            self._rest()

    def wake(self) -> None:
        """What ran comes back."""
        if self.resting:
            self._wake()

    def engine_seen(self) -> None:
        """The engine answers."""
        if not self.reachable:
            self._engine_reachable()

    def engine_lost(self, reason: str) -> None:
        """The engine does not answer."""
        if self.reachable or self.reason != reason:
            self._engine_unreachable(reason=reason)

    @event("Initialized", topic="host.initialized")
    def _initialize(self, engine: dict[str, Any], image: str, base: str = "") -> None:  # older events have no base
        self.engine = engine
        self.image = image
        self.base = base

    @event("Rested", topic="host.rested")
    def _rest(self) -> None:
        self.resting = True

    @event("Woken", topic="host.woken")
    def _wake(self) -> None:
        self.resting = False

    @event("EngineReachable", topic="host.engine_reachable")
    def _engine_reachable(self) -> None:
        self.reachable = True
        self.reason = ""
        self.lost_at = 0.0

    @event(EngineUnreachable)
    def _engine_unreachable(self, reason: str) -> None:
        self.reachable = False
        self.reason = reason
