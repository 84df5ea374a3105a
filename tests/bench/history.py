"""A log of a million events, made in half a minute and kept: the lives of vibespaces, one after the other.

What one life records is taken from the domain once; the log is that, with other names, ids and times, a hundred
thousand times. Most are long gone, as in a log that grew over a year; the last ones are there, and at rest.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from tests.podman import cache
from vibespace.app import checkpoint
from vibespace.app.log import Log
from vibespace.app.recorder import link
from vibespace.domain.agents import RUNNING, STOPPED, Agent
from vibespace.domain.aggregate import Aggregate, Origin, acting
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import Vibespace
from vibespace.state import State

EVENTS = 1_000_000
_STAY = 50
"""Lives that have not ended."""
_EACH = timedelta(seconds=36)
"""From one event to the next: a million in a bit more than a year."""
_ENGINE = {"brand": "fake", "version": "1", "address": "memory", "private": False, "rootless": False}
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_V, _A = UUID(int=0xA11CE << 64), UUID(int=0xB0B << 64)
_NAME, _REQUEST, _TIME = "naaaame", "r" * 36, datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)


def directory(events: int = EVENTS) -> State:
    """The state directory with it, made when this build has none yet."""
    found = State(cache() / f"history-{checkpoint.build()[:12]}-{events}")
    if not found.log.exists():
        new = State(found.home.with_name(f"{found.home.name}.new"))
        shutil.rmtree(new.home, ignore_errors=True)
        new.home.mkdir(mode=0o700, parents=True)
        write(new.log, events)
        for other in found.home.parent.glob(f"history-*-{events}"):
            shutil.rmtree(other)  # of an earlier build
        os.replace(new.home, found.home)
    return found


def write(path: Path, events: int) -> None:
    """A log of that many events at `path`."""
    Log(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO stored_events VALUES (?, ?, ?, ?, ?, ?)", _rows(path, events))
    connection.execute("COMMIT")
    connection.close()


def _rows(path: Path, events: int) -> Iterator[tuple[Any, ...]]:
    log = Log(path.with_name("scratch.db"))
    previous = bytes(32)
    for position, event in enumerate(_events(log, events), 1):
        previous = link(previous, position, event)
        assert isinstance(event.originator_id, UUID)
        yield position, event.originator_id.hex, event.originator_version, event.topic, event.state, previous
    log.close()
    for file in path.parent.glob("scratch.db*"):
        file.unlink()


def _events(log: Log, events: int) -> Iterator[StoredEvent]:
    host, life = _life(log)
    yield from host
    templates = [
        (event.originator_id == _V, event.originator_version, event.topic, _template(event.state)) for event in life
    ]
    written, number = len(host), 0
    while written < events:
        number += 1
        vibespace, agent = UUID(int=number << 64), UUID(int=(number << 64) + 1)
        stays = events - written <= _STAY * len(templates)
        ids = {b"v": str(vibespace).encode(), b"a": str(agent).encode(), b"n": b"v%d" % number, b"r": b"%036d" % number}
        for of_vibespace, version, topic, template in templates[: -3 if stays else None]:
            time = (_BEGIN + written * _EACH).isoformat().encode()
            yield StoredEvent(vibespace if of_vibespace else agent, version, topic, template % (ids | {b"t": time}))
            written += 1
            if written == events:
                return


def _template(state: bytes) -> bytes:
    for said, key in ((str(_V), b"v"), (str(_A), b"a"), (_NAME, b"n"), (_REQUEST, b"r"), (_TIME.isoformat(), b"t")):
        state = state.replace(said.encode(), b"%%(%b)b" % key)
    return state


def _life(log: Log) -> tuple[list[StoredEvent], list[StoredEvent]]:
    """The host's events, and what happens to one vibespace: the last three end it."""
    stored: list[StoredEvent] = []

    def record(*aggregates: Aggregate) -> None:
        stored.extend(log.encode(event) for aggregate in aggregates for event in aggregate.collect_events())

    with acting(Origin(_BEGIN, "local")):
        host = Host.create(UUID(int=1))
        host.initialize(_ENGINE, "fake")
        host.engine_seen()
        record(host)
    begun = len(stored)
    asked, seen = Origin(_TIME, "local", _REQUEST, "0" * 32), Origin(_TIME, "daemon", cause=_REQUEST)
    with acting(asked):
        vibespace = Vibespace.create(_V, name=_NAME, data_uid=str(_V), spec={"cpu": "2"})
        agent = Agent.create(
            _A, vibespace_uid=str(_V), vibespace=_NAME, name="claude-1", type="claude-code", primary=True, settings={}
        )
        record(vibespace, agent)
    for state, decide in ((RUNNING, vibespace.stop), (STOPPED, vibespace.start), (RUNNING, vibespace.stop)):
        with acting(seen):
            agent.observe(state, "", "fake", 1, vibespace.generation)
            record(agent)
        with acting(asked):
            decide()
            record(vibespace)
    with acting(seen):
        agent.observe(STOPPED, "", "fake", 1, vibespace.generation)
        record(agent)
    with acting(asked):
        vibespace.request_deletion(False)
        record(vibespace)
    with acting(seen):
        agent.complete_deletion()
        vibespace.complete_deletion()
        record(agent, vibespace)
    return stored[:begun], stored[begun:]
