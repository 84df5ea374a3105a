"""Aggregates as a test wants them, and what they decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.utils import get_topic

from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate, Origin, acting
from vibespace.domain.credentials import Credential
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import Vibespace

ORIGIN = Origin(
    datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "device:u", request_id="r", digest="d", cause="because"
)
A = TypeVar("A", bound=Aggregate)
ENVELOPE = ("originator_id", "originator_version", "originator_topic", "timestamp")
ENGINE: dict[str, Any] = {
    "brand": "podman",
    "version": "4.3.1",
    "address": "/run/p.sock",
    "private": True,
    "rootless": False,
}


@contextmanager
def asked() -> Iterator[None]:
    with acting(ORIGIN):
        yield


def new_host() -> Host:
    with asked():
        return settled(Host.create(UUID(int=1)))


def new_vibespace(**spec: Any) -> Vibespace:
    with asked():
        return settled(Vibespace.create(UUID(int=2), name="demo", data_uid="data", spec=spec))


def new_agent(*, primary: bool = False) -> Agent:
    with asked():
        return settled(
            Agent.create(
                UUID(int=3),
                vibespace_uid=str(UUID(int=2)),
                vibespace="demo",
                name="claude-1",
                type="claude-code",
                primary=primary,
                settings={},
            )
        )


def new_credential(parent: str = "", scope: str = "host") -> Credential:
    with asked():
        return settled(
            Credential.create(
                UUID(int=4), scope=scope, parent=parent, type="git", key="example.org", settings={}, sealed="v1"
            )
        )


def settled(aggregate: A) -> A:
    """With nothing pending."""
    aggregate.collect_events()
    return aggregate


def decided(aggregate: Aggregate) -> list[tuple[str, dict[str, Any]]]:
    """Topic and own fields of what was decided since the last look."""
    found = []
    for event in aggregate.collect_events():
        own = {name: value for name, value in vars(event).items() if name not in ENVELOPE}
        for name in ("actor", "cause", "request_id", "digest", "subject"):
            assert own.pop(name) == (aggregate.subject if name == "subject" else getattr(ORIGIN, name))
        assert event.timestamp == ORIGIN.time
        found.append((get_topic(type(event)), own))
    return found
