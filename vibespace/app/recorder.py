"""The event store: one SQLite file, every event in its place for ever, each hash over the one before.

`position` is a column of its own, from 1 up without gaps (the library's implicit rowid may be renumbered by VACUUM),
and `hash` = sha256(previous hash, position, aggregate's id and version, topic, sha256(state)).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from vibespace.app.audit import Unreadable

GENESIS = bytes(32)
"""What the first event's hash is over."""
PAGE = 500
"""Events read at once where nobody says how many."""
_CACHE = 256
"""KiB of pages that a connection keeps for itself: what is read again lies in the kernel's cache as well."""
NO_END = 2**62
"""After every position there will ever be."""
_ENVELOPE = ("timestamp", "actor", "cause", "request_id", "subject")
_HIDDEN = frozenset((*_ENVELOPE, "digest", "originator_topic", "class_version"))
_decode = json.JSONDecoder().raw_decode
"""Half of the time of json.loads, which looks for a byte order mark and for blanks around: there are none."""


@dataclass(frozen=True)
class Recorded:
    """One event as it lies in the log."""

    position: int
    uid: UUID
    version: int
    topic: str
    state: bytes
    """JSON, as written."""
    hash: bytes

    def __hash__(self) -> int:
        """Of one log all differ in this, and it costs nothing."""
        return self.position

    @cached_property
    def body(self) -> dict[str, Any]:
        """The stored JSON; `timestamp` is still wrapped as the library's transcoder writes it."""
        body: dict[str, Any] = _decode(self.state.decode())[0]
        return body

    @property
    def time(self) -> str:
        """RFC 3339, with offset."""
        time: str = self.body["timestamp"]["_data_"]
        return time

    @property
    def data(self) -> dict[str, Any]:
        """The event's own fields."""
        return {key: value for key, value in self.body.items() if key not in _HIDDEN}

    @property
    def stored(self) -> StoredEvent:
        """As the library's mapper reads it."""
        return StoredEvent(originator_id=self.uid, originator_version=self.version, topic=self.topic, state=self.state)


def link(previous: bytes, position: int, event: StoredEvent) -> bytes:
    """The hash of `event` at `position`, after one whose hash is `previous`."""
    where = f"{position}\n{event.originator_id}\n{event.originator_version}\n{event.topic}\n".encode()
    return sha256(previous + where + sha256(event.state).digest()).digest()


class _Pool(SQLiteConnectionPool):
    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        connection.cursor().execute(f"PRAGMA cache_size=-{_CACHE}")
        # A build of SQLite may have another default for WAL, in which a commit is not yet on disk.
        connection.cursor().execute("PRAGMA synchronous=FULL")
        return connection


class Recorder(SQLiteApplicationRecorder):
    """The library's recorder with our table. One process writes, one thread at a time."""

    def __init__(self, path: Path) -> None:
        datastore = SQLiteDatastore(db_name=f"{path.absolute().as_uri()}")
        datastore.pool = _Pool(db_name=datastore.pool.db_name)
        super().__init__(datastore)
        self.insert_events_statement = "INSERT INTO stored_events VALUES (?,?,?,?,?,?)"
        self.select_max_notification_id_statement = "SELECT MAX(position) FROM stored_events"
        self.position = 0
        self.hash = GENESIS

    def construct_create_table_statements(self) -> list[str]:
        """See the library's; without its implicit rowid, and without an index over aggregates, which would cost each
        commit a page for each. The writer sees to it that no version is written twice.
        """
        return [
            "CREATE TABLE IF NOT EXISTS stored_events ("
            "position INTEGER PRIMARY KEY, "
            "originator_id TEXT NOT NULL, "
            "originator_version INTEGER NOT NULL, "
            "topic TEXT NOT NULL, "
            "state BLOB NOT NULL, "
            "hash BLOB NOT NULL)",
            "CREATE INDEX IF NOT EXISTS stored_events_topic ON stored_events (topic, position)",
        ]

    def append(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        """Write `events` in one transaction; when it returns they are on disk."""
        with self.datastore.transaction(commit=True) as cursor:
            recorded = self._append(cursor, events)
        if recorded:
            self.position, self.hash = recorded[-1].position, recorded[-1].hash
        return recorded

    def _append(self, cursor: Any, events: Sequence[StoredEvent]) -> list[Recorded]:
        position, previous, recorded = self.position, self.hash, []
        for event in events:
            position += 1
            previous = link(previous, position, event)
            uid, version = event.originator_id, event.originator_version
            assert isinstance(uid, UUID)
            recorded.append(Recorded(position, uid, version, event.topic, event.state, previous))
        rows = [(r.position, r.uid.hex, r.version, r.topic, r.state, r.hash) for r in recorded]
        cursor.executemany(self.insert_events_statement, rows)
        return recorded

    def read(self, after: int, limit: int = PAGE, until: int | None = None) -> list[Recorded]:
        """Up to `limit` events after position `after`, and not after `until`, in order."""
        return [recorded_of(row) for row in self._rows(after, limit, until)]

    def read_all(self, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
        """Every event after `after` and up to `until`, a page at a time."""
        while page := self.read(after, until=until):
            yield from page
            after = page[-1].position

    def examine(self, after: int, until: int) -> list[Recorded | Unreadable]:
        """As `read`, whatever the rows hold."""
        return [_examined(row) for row in self._rows(after, PAGE, until)]

    def hash_at(self, position: int) -> bytes | None:
        """What is stored of the event at `position`; None where there is none."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT hash FROM stored_events WHERE position = ?", (position,))
            row = cursor.fetchone()
        return row["hash"] if row else None

    def places(self, event: Recorded) -> list[int]:
        """Of all rows that are the same version of the same thing; to find them, all are looked at."""
        statement = "SELECT position FROM stored_events WHERE originator_id = ? AND originator_version = ?"
        with suppress(PersistenceError), self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, (event.uid.hex, event.version))
            return [row["position"] for row in cursor.fetchall()]
        return []  # where the file is broken, that is said already

    def pick(self, positions: Sequence[int]) -> list[Recorded]:
        """The events at `positions`, in order."""
        places = ",".join(map(str, positions))
        statement = f"SELECT * FROM stored_events WHERE position IN ({places}) ORDER BY position"  # noqa: S608 (numbers)
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement)
            return [recorded_of(row) for row in cursor.fetchall()]

    def _rows(self, after: int, limit: int, until: int | None) -> list[Any]:
        statement = "SELECT * FROM stored_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, (after, NO_END if until is None else until, limit))
            rows: list[Any] = cursor.fetchall()
            return rows


def recorded_of(row: Any) -> Recorded:
    """What a row of `stored_events` holds. Raises ValueError, TypeError or AttributeError where it is spoilt."""
    uid = UUID(row["originator_id"])
    return Recorded(row["position"], uid, row["originator_version"], row["topic"], row["state"], row["hash"])


def _examined(row: Any) -> Recorded | Unreadable:
    try:
        recorded = recorded_of(row)
        link(GENESIS + recorded.hash, 0, recorded.stored)
        return recorded
    except (TypeError, ValueError, AttributeError):
        return Unreadable(row["position"], row["hash"] if isinstance(row["hash"], bytes) else b"")
