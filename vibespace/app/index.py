"""Which events are about which vibespace, in a file beside the log, so that to find some not all are read. Disposable.

It is filled after the fact, so that writing the log waits for nothing, and from the log alone: it can be removed at any
time. By type, the log's own index finds events.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vibespace.app import places

UNUSABLE = (sqlite3.Error, OSError)
"""There is no index now: no room for one, or one that is spoilt and cannot be removed. The log alone has it all too."""


@dataclass(frozen=True)
class Wanted:
    """Which events are asked for."""

    vibespace: str = ""
    """Its bare name; empty means any."""
    type: str = ""
    """A topic, or the noun that topics begin with; empty means any."""

    def __bool__(self) -> bool:
        return bool(self.vibespace or self.type)

    def has(self, subject: str, topic: str) -> bool:
        """Whether an event of this subject and topic is meant."""
        its = not self.vibespace or f"{subject}/".startswith(f"vibespaces/{self.vibespace}/")
        return its and self.has_type(topic)

    def has_type(self, topic: str) -> bool:
        """Whether events of this topic are meant."""
        return not self.type or f"{topic}.".startswith(f"{self.type}.")


class Index:
    """Positions of events in the log at `log`, found without reading them."""

    def __init__(self, path: Path, log: Path) -> None:
        self._path = path
        self._log = log
        self._opening = threading.Lock()
        """Two that made it anew at once would each remove what the other is at work in."""
        self._looked = False
        """Whether the file was found whole, which is asked once: it takes 0.1 s for a million events."""
        self._spoilt = False
        """Whether something else was found in it since."""
        self._counted = 0
        """The place up to which its numbers were found to add up, which is asked once for each: it takes 5 ms."""

    def find(self, wanted: Wanted, after: int, until: int, limit: int) -> list[int]:
        """Up to `limit` positions of events that are `wanted`, in order. Raises UNUSABLE."""
        if not wanted.vibespace:
            with self._open() as connection:
                return _by_topic(connection, wanted.type, after, until, limit)
        with self.filled(until) as connection:
            its = places.of(connection, wanted.vibespace, after, until)
            return list(islice((position for position, topic in its if wanted.has_type(topic)), limit))

    def fill(self, until: int) -> None:
        """Take in the events up to position `until`. Raises UNUSABLE."""
        with self.filled(until):
            pass

    @contextmanager
    def filled(self, until: int) -> Iterator[sqlite3.Connection]:
        """The file, with the events up to position `until` and the log attached as `log`, all of one moment.

        Raises UNUSABLE.
        """
        with self._open() as connection:
            places.fill(connection, until)
            connection.execute("BEGIN")
            if (position := places.upto(connection)) != self._counted:
                places.check(connection)
                self._counted = position
            yield connection

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._opening:
            connection = self._opened()
        try:
            yield connection
        except sqlite3.DatabaseError as e:
            self._looked, self._counted, self._spoilt = False, 0, self._spoilt or _is_to_blame(e)
            raise
        finally:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            if self._spoilt or not self._is_of_this_log(connection):
                connection.close()
                for file in self._path.parent.glob(f"{self._path.name}*"):
                    file.unlink(missing_ok=True)
                connection = self._connect()
                self._attach(connection)
                connection.executescript(places.SCHEMA)
                self._spoilt = False
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        # By its usual way SQLite maps a file beside it, shared by name with the index that takes its place: where this
        # one is removed, that is cut short under who still reads here, which ends the process.
        uri = f"{self._path.absolute().as_uri()}?vfs=unix-excl"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=60)
        connection.execute("PRAGMA temp_store = MEMORY")  # the disk may be full
        return connection

    def _attach(self, connection: sqlite3.Connection) -> None:
        connection.execute("ATTACH ? AS log", (f"{self._log.absolute().as_uri()}?mode=ro&vfs=unix",))

    def _is_of_this_log(self, connection: sqlite3.Connection) -> bool:
        try:
            self._attach(connection)  # which reads the file: one that is none is met here
            if connection.execute("PRAGMA main.user_version").fetchone() != (places.FORMAT,):
                return False
            [(position, hash)] = connection.execute("SELECT position, hash FROM upto").fetchall()
            stored = connection.execute("SELECT hash FROM log.stored_events WHERE position = ?", (position,)).fetchone()
            self._looked = self._looked or connection.execute("PRAGMA main.quick_check(1)").fetchone() == ("ok",)
            return self._looked and bool(position == 0 or stored == (hash,))
        except (sqlite3.DatabaseError, ValueError) as e:
            if not _is_to_blame(e):
                raise
            return False


def _is_to_blame(error: Exception) -> bool:
    """Whether the file is; where a disk has no room or answers no more, it is not."""
    lacks_a_table = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return lacks_a_table or not isinstance(error, sqlite3.OperationalError)


def _by_topic(connection: sqlite3.Connection, wanted: str, after: int, until: int, limit: int) -> list[int]:
    """As many of each topic as can be needed, then the first of all those."""
    topics = [topic for topic in _topics(connection) if Wanted(type=wanted).has_type(topic)]
    found: list[int] = []
    for topic in topics:
        found += _column(
            connection,
            "SELECT position FROM log.stored_events WHERE topic = ? AND position > ? AND position <= ? "
            "ORDER BY position LIMIT ?",
            (topic, after, until, limit),
        )
    return sorted(found)[:limit]


def _topics(connection: sqlite3.Connection) -> Iterator[str]:
    """Every topic in the log, by a jump each."""
    topic = ""
    while True:
        [following] = _column(connection, "SELECT MIN(topic) FROM log.stored_events WHERE topic > ?", (topic,))
        if following is None:
            return
        yield following
        topic = following


def _column(connection: sqlite3.Connection, statement: str, values: Sequence[object]) -> list[Any]:
    return [row[0] for row in connection.execute(statement, values).fetchall()]
