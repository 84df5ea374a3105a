"""The event store: one SQLite file, every event in its place for ever, each hash over the one before.

`position` is a column of its own, from 1 up without gaps (the library's implicit rowid may be renumbered by VACUUM),
and `hash` = sha256(previous hash, position, aggregate's id and version, topic, sha256(state)).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from vibespace.app import checkpoint as checkpoints
from vibespace.app import head as heads
from vibespace.app import past
from vibespace.app.audit import MISSING, UNREADABLE, Audit, Damage, Unreadable
from vibespace.app.checkpoint import Checkpoint
from vibespace.app.head import Head
from vibespace.app.index import Index, Wanted
from vibespace.app.live import State
from vibespace.app.logfile import claim, readable, unusable
from vibespace.app.reserve import Reserve
from vibespace.domain.aggregate import Aggregate, Origin
from vibespace.errors import Error

_GENESIS = bytes(32)
_PAGE = 500
_NO_END = 2**62
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
        return [_recorded(row) for row in self._rows(after, limit, until)]

    def read_all(self, after: int = 0, until: int | None = None) -> Iterator[Recorded]:
        """Every event after `after` and up to `until`, a page at a time."""
        while page := self.read(after, until=until):
            yield from page
            after = page[-1].position

    def examine(self, after: int, until: int) -> list[Recorded | Unreadable]:
        """As `read`, whatever the rows hold."""
        return [_examined(row) for row in self._rows(after, _PAGE, until)]

    def hash_at(self, position: int) -> bytes | None:
        """What is stored of the event at `position`; None where there is none."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT hash FROM stored_events WHERE position = ?", (position,))
            row = cursor.fetchone()
        return row["hash"] if row else None

    def places(self, event: Recorded) -> list[int]:
        """Of all rows that are the same version of the same thing."""
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
            return [_recorded(row) for row in cursor.fetchall()]

    def _rows(self, after: int, limit: int, until: int | None) -> list[Any]:
        statement = "SELECT * FROM stored_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, (after, _NO_END if until is None else until, limit))
            rows: list[Any] = cursor.fetchall()
            return rows


def _recorded(row: Any) -> Recorded:
    uid = UUID(row["originator_id"])
    return Recorded(row["position"], uid, row["originator_version"], row["topic"], row["state"], row["hash"])


def _examined(row: Any) -> Recorded | Unreadable:
    try:
        recorded = _recorded(row)
        link(_GENESIS + recorded.hash, 0, recorded.stored)
        return recorded
    except (TypeError, ValueError, AttributeError):
        return Unreadable(row["position"], row["hash"] if isinstance(row["hash"], bytes) else b"")


class Log:
    """The history: append and read. Beside its file lies what is kept with it: checkpoint, head, index.db, reserve."""

    def __init__(self, path: Path) -> None:
        """Open the log at `path`, or begin one. Raises FailedPrecondition LOG_UNUSABLE for what is not ours."""
        self._path = path
        self.checkpoint = path.with_name("checkpoint")
        self.head = path.with_name("head")
        self.reserve = Reserve(path.with_name("reserve"))
        self._index = Index(path.with_name("index.db"), path)
        self.kept = 0
        """Place of the checkpoint that is there."""
        self.reserve.release()
        with readable(path):
            claim(path, self.head)
            self._recorder = Recorder(path)
            self._recorder.create_table()
        transcoder = JSONTranscoder()
        transcoder.register(DatetimeAsISO())
        self._mapper: Mapper[UUID] = Mapper(transcoder)

    @property
    def position(self) -> int:
        """Of the newest event; 0 when there is none."""
        return self._recorder.position

    @property
    def hash(self) -> bytes:
        """Of the newest event, over all before it."""
        return self._recorder.hash

    def encode(self, event: Any) -> StoredEvent:
        """A domain event as it will be written."""
        return self._mapper.to_stored_event(event)

    def append(self, events: Sequence[StoredEvent]) -> list[Recorded]:
        """Write `events`, all or none; when it returns they are on disk. From the writer's thread only."""
        return self._recorder.append(events)

    def read(self, after: int, limit: int = _PAGE) -> list[Recorded]:
        """Up to `limit` events after position `after`. From any thread."""
        return self._recorder.read(after, limit)

    def find(self, wanted: Wanted, after: int, until: int, limit: int = _PAGE) -> list[Recorded]:
        """Up to `limit` events that are `wanted`, after position `after` and up to `until`. From any thread."""
        try:
            return self._recorder.pick(self._index.find(wanted, after, until, limit))
        except sqlite3.Error:  # on a full disk there may be no index
            every = self._recorder.read_all(after, until)
            return list(islice((r for r in every if wanted.has(r.body["subject"], r.topic)), limit))

    def position_at(self, time: datetime, newest: int) -> int:
        """Of the last event that was written at `time` or before, of those up to `newest`; 0 when there is none.

        Where the clock was set back, there are several such places: it is one of them.
        """
        before, after = 0, newest + 1
        while after - before > 1:
            middle = (before + after) // 2
            [event] = self.read(middle - 1, 1)
            before, after = (middle, after) if datetime.fromisoformat(event.time) <= time else (before, middle)
        return before

    def fold(self, until: int | None = None) -> State:
        """What was true after the event at `until`, or after the newest."""
        state = State()
        if (begun := self._begin()) and (until is None or begun.state.position <= until):
            state = begun.state
        for recorded in self._recorder.read_all(state.position, until):
            apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        return state

    def replay(self, until: int) -> State:
        """As `fold`, but for what only the present needs: so that it need not read of what was gone by then."""
        state = State()
        with readable(self._path):
            if (begun := self._begin()) and begun.state.position <= until:
                return self.fold(until)
            for row in past.events(self._path, until):
                recorded = _recorded(row)
                apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
        state.position = until
        return state

    def load(self) -> State:
        """What is true now; from here on `append` continues the log. What a checkpoint spares is not looked at.

        Raises FailedPrecondition LOG_UNUSABLE where an event is missing, or is not as it was written.
        """
        with readable(self._path):
            begun = self._begin() or Checkpoint(State(), _GENESIS)
            self.kept = begun.state.position
            state, position, previous = begun.state, begun.state.position, begun.hash
            try:
                for recorded in self._recorder.read_all(position):
                    position += 1
                    previous = link(previous, position, recorded.stored)
                    if (position, previous) != (recorded.position, recorded.hash):
                        raise ValueError("it is not as it was written")
                    apply(state, recorded, self._mapper.to_domain_event(recorded.stored))
            except PersistenceError:
                raise
            except Exception as e:  # whatever is met in what is no event of ours
                raise self._damaged(position, e) from e
            self._recorder.position, self._recorder.hash = position, previous
        return state

    def keep(self, state: State, hash: bytes) -> None:
        """Write `state`, which ends with the event that has `hash`, where the next start begins."""
        checkpoints.write(self.checkpoint, Checkpoint(state, hash))
        self.kept = state.position
        self._index.fill(state.position)

    def keep_head(self, newest: Head) -> None:
        """Remember that `newest` was written, unless an event is missed: what told of it must stay."""
        if self.lost(newest.log_id) is None:
            heads.write(self.head, newest)

    def lost(self, log_id: str) -> Head | None:
        """An event that is known to have been in this log, and is not."""
        known = heads.read(self.head)
        if known is None or known.log_id != log_id:
            return None
        with readable(self._path):
            return None if self._recorder.hash_at(known.position) == known.hash else known

    def audit(self) -> Audit[Recorded]:
        """To be given what `examine` reads, in order."""
        return Audit(link, _GENESIS, self._recorder.places)

    def examine(self, audit: Audit[Recorded], until: int) -> bool:
        """Give `audit` the next rows up to position `until`; False when there are no more. From any thread."""
        try:
            rows = self._recorder.examine(audit.position, until)
        except PersistenceError as e:
            audit.found.append(Damage(audit.position + 1, UNREADABLE, f"From here on nothing can be read: {e}."))
            return False
        audit.take(rows)
        if not rows and audit.position < until < _NO_END:
            audit.found.append(Damage(audit.position + 1, MISSING, "From here on nothing is there."))
        return bool(rows)

    def _begin(self) -> Checkpoint | None:
        """The checkpoint, if it is one of this log."""
        found = checkpoints.read(self.checkpoint)
        return found if found and self._recorder.hash_at(found.state.position) == found.hash else None

    def _damaged(self, position: int, error: Exception) -> Error:
        audit = self.audit()
        while self.examine(audit, _NO_END):
            pass
        if damages := audit.finish():
            first = damages[0]
            return unusable(self._path, f"position {first.position}: {first.kind}: {first.message.rstrip('.')}")
        why = f"the event at position {position} is as it was written, but this vibespace cannot read it: {error}"
        return unusable(self._path, why, "Upgrade vibespace: it may be of a newer one.")

    def close(self) -> None:
        """Let go of the file."""
        self._recorder.datastore.close()


def apply(state: State, recorded: Recorded, event: Any) -> None:
    """One event of the past, into `state`."""
    aggregate: Aggregate = event.mutate(state.aggregates.get(recorded.uid))
    origin = Origin(event.timestamp, event.actor, event.request_id, event.digest, event.cause)
    state.take(aggregate, recorded.position, origin)
