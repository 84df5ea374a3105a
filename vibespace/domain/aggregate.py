"""The base of all aggregates: who, when and why are on every event, and come from outside."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from eventsourcing.domain import Aggregate as LibraryAggregate
from eventsourcing.domain import CanInitAggregate, CanMutateAggregate


class Origin(NamedTuple):
    """Who asks, when, and why: what every event of one command has in common."""

    time: datetime
    """With a time zone."""
    actor: str
    """`local`, `daemon`, `device:{uid}` or `agent:{uid}`."""
    request_id: str = ""
    digest: str = ""
    """Of the request, so that the same request_id with another payload is noticed."""
    cause: str = ""
    """The request that led here, for what follows from one by itself."""


_origin: ContextVar[Origin] = ContextVar("origin")


class acting:  # noqa: N801 (read as a word: with acting(origin))
    """Events that happen inside carry `origin`. A class, because a generator costs each command three times as much."""

    __slots__ = ("_origin", "_token")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __enter__(self) -> None:
        self._token = _origin.set(self._origin)

    def __exit__(self, *_: object) -> None:
        _origin.reset(self._token)


def acting_at() -> datetime:
    """When what is decided now is decided."""
    return _origin.get().time


class Aggregate(LibraryAggregate):
    """A thing with a history. Public methods decide, `@event` methods only assign: they run again at every replay.

    Attributes are replaced, never changed in place, so that a shallow copy is a safe place to try a command on.
    """

    class Event(LibraryAggregate.Event):
        """What every stored event says besides its own fields."""

        actor: str
        cause: str
        request_id: str
        digest: str
        subject: str

    class Created(Event, LibraryAggregate.Created):
        """The first event of each aggregate."""

    @property
    def uid(self) -> str:
        """The id as the API writes it."""
        return str(self.id)

    @property
    def subject(self) -> str:
        """Resource name, as events carry it."""
        raise NotImplementedError

    @property
    def gone(self) -> bool:
        """Its last event has happened: it leaves the live state."""
        return False

    def draft(self) -> Self:
        """A copy to try a command on, with no pending events."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _pending_events=[])  # what copy.copy does by asking more
        return other

    @classmethod
    def create(cls, uid: UUID, **fields: Any) -> Self:
        """A new one, with its first event pending."""
        return cls._create(cls.Created, id=uid, **fields)

    @staticmethod
    def create_id(*_: Any, **__: Any) -> UUID:
        """The library's own would draw a random id inside the domain: use `create`."""
        raise NotImplementedError

    @classmethod
    def _create(cls, event_class: type[CanInitAggregate[UUID]], **kwargs: Any) -> Self:
        return super()._create(event_class, **_stamped(kwargs, cls.name_subject(**kwargs)))

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        """The subject, from the fields of the first event, before there is an instance to ask."""
        raise NotImplementedError

    def trigger_event(self, event_class: type[CanMutateAggregate[UUID]], **kwargs: Any) -> None:
        """As the library's, with the origin that is in force. The library's own reads a clock, and copies more."""
        kwargs.update(originator_id=self.id, originator_version=self.version + 1)
        event = event_class(**_stamped(kwargs, self.subject))
        event.mutate(self)
        self.pending_events.append(event)


def _stamped(fields: dict[str, Any], subject: str) -> dict[str, Any]:
    origin = _origin.get()
    return {
        **fields,
        "timestamp": origin.time,
        "actor": origin.actor,
        "cause": origin.cause,
        "request_id": origin.request_id,
        "digest": origin.digest,
        "subject": subject,
    }
