"""The event store: one SQLite file, every event in its place for ever, each hash over the one before.

`position` is a column of its own, from 1 up without gaps (the library's implicit rowid may be renumbered by VACUUM),
and `hash` = sha256(previous hash, position, aggregate's id and version, topic, sha256(state)).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from vibespace.app.live import State
from vibespace.domain.aggregate import Aggregate, Origin
from vibespace.errors import Error, FailedPrecondition, Unavailable

_FORMAT = 1
"""PRAGMA user_version of the file; a higher one was written by a newer vibespace."""
_APPLICATION = 0x76696265
"""PRAGMA application_id, 'vibe': a file that has another is not ours to write to."""
_NOT_NOW = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
"""What SQLite says of the disk, not of the file."""
_GENESIS = bytes(32)
_PAGE = 500
_ENVELOPE = ("timestamp", "actor", "cause", "request_id", "subject")
_HIDDEN = (*_ENVELOPE, "digest", "originator_topic", "class_version")


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

    @cached_property
    def body(self) -> dict[str, Any]:
        """The stored JSON; `timestamp` is still wrapped as the library's transcoder writes it."""
        body: dict[str, Any] = json.loads(self.state)
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
        self.hash = _GENESIS

    def construct_create_table_statements(self) -> list[str]:
        """See the library's; without its implicit rowid."""
        return [
            "CREATE TABLE IF NOT EXISTS stored_events ("
            "position INTEGER PRIMARY KEY, "
            "originator_id TEXT NOT NULL, "
            "originator_version INTEGER NOT NULL, "
            "topic TEXT NOT NULL, "
            "state BLOB NOT NULL, "
            "hash BLOB NOT NULL, "
            "UNIQUE (originator_id, originator_version))",
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

    def read(self, after: int, limit: int = _PAGE, until: int | None = None) -> list[Recorded]:
        """Up to `limit` events after position `after`, and not after `until`, in order."""
        statement = "SELECT * FROM stored_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, (after, 2**62 if until is None else until, limit))
            return [
                Recorded(
                    row["position"],
                    UUID(row["originator_id"]),
                    row["originator_version"],
                    row["topic"],
                    row["state"],
                    row["hash"],
                )
                for row in cursor.fetchall()
            ]

    def read_all(self, until: int | None = None) -> Iterator[Recorded]:
        """Every event up to `until`, a page at a time."""
        after = 0
        while page := self.read(after, until=until):
            yield from page
            after = page[-1].position


class Log:
    """The history: append and read."""

    def __init__(self, path: Path) -> None:
        """Open the log at `path`, or begin one. Raises FailedPrecondition LOG_UNUSABLE for what is not ours."""
        self._path = path
        with _readable(path):
            _claim(path)
            self._recorder = Recorder(path)
            self._recorder.create_table()
        transcoder = JSONTranscoder()
        transcoder.register(DatetimeAsISO())
        self._mapper: Mapper[UUID] = Mapper(transcoder)

    @property
    def position(self) -> int:
        """Of the newest event; 0 when there is none."""
        return self._recorder.position

    def encode(self, event: Any) -> StoredEvent:
        """A domain event as it will be written."""
        return self._mapper.to_stored_event(event)

    def append(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        """Write `events`, all or none; when it returns they are on disk. From the writer's thread only."""
        return self._recorder.append(events)

    def read(self, after: int, limit: int = _PAGE) -> list[Recorded]:
        """Up to `limit` events after position `after`. From any thread."""
        return self._recorder.read(after, limit)

    def fold(self, until: int | None = None) -> State:
        """What was true after the event at `until`, or after the newest."""
        state = State()
        for recorded in self._recorder.read_all(until):
            apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        return state

    def load(self) -> State:
        """What is true now; from here on `append` continues the log.

        Raises FailedPrecondition LOG_UNUSABLE where an event is missing, or is not as it was written.
        """
        state, position, previous = State(), 0, _GENESIS
        with _readable(self._path):
            for recorded in self._recorder.read_all():
                position += 1
                previous = link(previous, position, recorded.stored)
                if (position, previous) != (recorded.position, recorded.hash):
                    raise _unusable(self._path, f"the event at position {position} is not as it was written")
                apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        self._recorder.position, self._recorder.hash = position, previous
        return state

    def close(self) -> None:
        """Let go of the file."""
        self._recorder.datastore.close()


def apply(state: State, recorded: Recorded, event: Any) -> None:
    """One event of the past, into `state`."""
    aggregate: Aggregate = event.mutate(state.aggregates.get(recorded.uid))
    origin = Origin(event.timestamp, event.actor, event.request_id, event.digest, event.cause)
    state.take(aggregate, recorded.position, origin)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say so when the file at `path` is no database, or one that is damaged."""
    try:
        yield
    except Error:
        raise
    except Exception as e:  # whatever is met in reading bytes that nobody can vouch for
        cause = e if isinstance(e, sqlite3.Error) else e.__cause__
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _NOT_NOW:
            hint = "See that the disk has room and the directory can be written to."
            raise Unavailable("LOG_UNAVAILABLE", f"{path} cannot be opened: {cause}.", hint=hint) from e
        raise _unusable(path, str(e) or type(e).__name__) from e


def _unusable(path: Path, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        "LOG_UNUSABLE",
        f"{path} is not a log that can be read: {why}.",
        hint="Restore it from a backup, or move the file away to begin anew.",
    )


def _claim(path: Path) -> None:
    """Mark a new file as ours; refuse one that is somebody else's or newer, before anything is written to it."""
    connection = sqlite3.connect(path)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if application == 0 and empty:
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={_FORMAT}")
        elif application != _APPLICATION:
            raise FailedPrecondition("LOG_UNUSABLE", f"{path} is not a log of vibespace.", hint="Move it away.")
        elif version > _FORMAT:
            raise FailedPrecondition(
                "LOG_UNUSABLE", f"{path} was written by a newer vibespace.", hint="Upgrade vibespace."
            )
    finally:
        connection.close()
