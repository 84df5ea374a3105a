"""What `index.db` holds: where in the log the events of each vibespace are, and which of them each is.

None of it is believed unseen. What is found is looked at in the log; the events of a vibespace are numbered from 1 up,
so that one that is missing leaves a gap; and all counts together, that of the machine's events included, are the events
that were taken in. A wrong answer takes several changes that agree: numbers are no signatures.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

FORMAT = 2
"""PRAGMA user_version of SCHEMA; a file that has another is made anew."""
SCHEMA = """
PRAGMA journal_mode=WAL;
BEGIN;
CREATE TABLE places (vibespace TEXT, position INTEGER, nth INTEGER, PRIMARY KEY (vibespace, position)) WITHOUT ROWID;
CREATE TABLE counts (vibespace TEXT PRIMARY KEY, events INTEGER) WITHOUT ROWID;
CREATE TABLE upto (position INTEGER, hash BLOB, missing INTEGER);
INSERT INTO upto VALUES (0, x'', 0);
PRAGMA user_version=2;
COMMIT;
"""
_STEP = 20_000
"""Events in one transaction: who else wants to write waits no longer."""

_SUBJECT = "CASE WHEN json_valid(CAST(state AS TEXT)) THEN json_extract(CAST(state AS TEXT), '$.subject') END"
"""`vibespaces/NAME`, or it begins with `vibespaces/NAME/`; NAME starts at its twelfth character."""
_FILL = (
    f"""CREATE TEMP TABLE fresh AS
    WITH told AS MATERIALIZED (
      SELECT position, {_SUBJECT} AS subject FROM log.stored_events WHERE position > :after AND position <= :last
    )
    SELECT position, CASE WHEN subject LIKE 'vibespaces/%'
      THEN substr(subject, 12, instr(substr(subject, 12) || '/', '/') - 1) ELSE '' END AS vibespace FROM told""",  # noqa: S608 (a constant)
    """INSERT INTO places
    SELECT vibespace, position, coalesce(events, 0) + row_number() OVER (PARTITION BY vibespace ORDER BY position)
    FROM fresh LEFT JOIN counts USING (vibespace) WHERE vibespace != ''""",
    """INSERT INTO counts SELECT vibespace, count(*) FROM fresh WHERE true GROUP BY vibespace
    ON CONFLICT DO UPDATE SET events = events + excluded.events""",
    """UPDATE upto SET position = :last, hash = (SELECT hash FROM log.stored_events WHERE position = :last),
    missing = missing + :last - :after - (SELECT count(*) FROM fresh)""",
    "DROP TABLE fresh",
)
_OF = f"""
SELECT position, nth, topic, substr({_SUBJECT} || '/', 1, length(:subject)) IS :subject
FROM places LEFT JOIN log.stored_events USING (position)
WHERE vibespace = :vibespace AND position >= coalesce(
  (SELECT max(position) FROM places WHERE vibespace = :vibespace AND position <= :after), 0)
ORDER BY position
"""  # noqa: S608 (a constant)
"""With the one before those that are asked for, where there is one."""


class Misled(sqlite3.DatabaseError):
    """What the index says is not so in the log."""


def fill(connection: sqlite3.Connection, until: int) -> None:
    """Take in the events up to position `until`."""
    while True:
        connection.execute("BEGIN IMMEDIATE")
        try:
            after = upto(connection)
            if after < until:
                for statement in _FILL:
                    connection.execute(statement, {"after": after, "last": min(after + _STEP, until)})
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        if after + _STEP >= until:
            return


def upto(connection: sqlite3.Connection) -> int:
    """The position of the last event that was taken in. Raises ValueError where there is not one number."""
    [(position,)] = connection.execute("SELECT position FROM upto").fetchall()
    return int(position)


def check(connection: sqlite3.Connection) -> None:
    """Raises Misled where not every event that was taken in is counted once; of a damaged log some are missing."""
    counted = "SELECT (SELECT coalesce(sum(events), 0) FROM counts) = (SELECT position - missing FROM upto)"
    if connection.execute(counted).fetchone() != (1,):
        raise Misled("its numbers do not add up")


def of(connection: sqlite3.Connection, vibespace: str, after: int, until: int) -> Iterator[tuple[int, str]]:
    """Position and topic of every event of `vibespace` after position `after` and up to `until`, in order.

    It is filled up to there, and nothing is written meanwhile. Raises Misled.
    """
    last, asked = 0, {"vibespace": vibespace, "subject": f"vibespaces/{vibespace}/", "after": after}
    for position, nth, topic, is_its in connection.execute(_OF, asked):
        if not is_its or nth != (last + 1 if last or position > after else nth):
            raise Misled(f"position {position} is not event {last + 1} of {vibespace}")
        last = nth
        if position > until:
            return
        if position > after:
            yield position, topic
    counted = connection.execute("SELECT events FROM counts WHERE vibespace = ?", (vibespace,)).fetchone()
    if (last,) != (counted or (0,)):
        raise Misled(f"{vibespace} does not end with event {last}")
