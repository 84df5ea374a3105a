"""The index beside the log: whatever is changed in it, nothing wrong is answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.app.house import House, add, agent_deleted, create, delete, deleted, plain, start, stop
from vibespace.app import past, places
from vibespace.app.index import Index, Wanted

NAMES = ("demo", "other", "none")


@pytest.fixture
async def lived(house: House) -> House:
    """Two vibespaces whose events alternate; the first is gone, and its name is another one's."""
    for command in (create(), create("other"), stop(), add("other"), start(), stop("other"), delete()):
        await house.ask(command)
    for command in (agent_deleted(), deleted(), start("other"), create(), stop("other"), stop()):
        await house.ask(command)
    return house


def changes(index: sqlite3.Connection, newest: int) -> Iterator[str]:
    """Every row taken out, every value changed, and a row put in for every event that is none of that vibespace."""
    rows = index.execute("SELECT vibespace, position FROM places").fetchall()
    for vibespace, position in rows:
        this = f"vibespace = '{vibespace}' AND position = {position}"
        yield f"DELETE FROM places WHERE {this}"
        yield f"DELETE FROM places WHERE vibespace = '{vibespace}' AND position >= {position}"
        yield from (f"UPDATE places SET vibespace = '{name}' WHERE {this}" for name in NAMES if name != vibespace)
        yield from (f"UPDATE places SET nth = nth + {by} WHERE {this}" for by in (-9, -1, 1, 9))
        for other in range(1, newest + 2):
            if (vibespace, other) not in rows:
                yield f"UPDATE places SET position = {other} WHERE {this}"
                yield f"INSERT INTO places VALUES ('{vibespace}', {other}, 1 + (SELECT nth FROM places WHERE {this}))"
    for name in ("", "demo", "other"):
        yield f"DELETE FROM counts WHERE vibespace = '{name}'"
        yield from (f"UPDATE counts SET events = events + {by} WHERE vibespace = '{name}'" for by in (-1, 1))
    yield "DELETE FROM places; DELETE FROM counts"
    yield "DELETE FROM places WHERE vibespace = 'other'; DELETE FROM counts WHERE vibespace = 'other'"


async def test_what_was_changed_is_noticed_or_harms_nothing(lived: House) -> None:
    """Whichever row is altered, taken out or put in: of each vibespace and range the events are told, or Misled."""
    newest, noticed = lived.log.position, 0
    every = lived.log.read(0)
    ranges = [(after, until) for after in range(newest) for until in range(after + 1, newest + 1, 2)]
    right = {
        (name, *where): [r.position for r in every[where[0] : where[1]] if Wanted(name).has(r.body["subject"], r.topic)]
        for name in NAMES
        for where in ranges
    }
    with lived.log._index.filled(newest) as index:
        for change in [*changes(index, newest)]:
            index.execute("SAVEPOINT before")
            for statement in change.split(";"):
                index.execute(statement)
            seen = False
            for asked, expected in right.items():
                try:
                    places.check(index)
                    found = [position for position, _ in places.of(index, *asked)]
                except places.Misled:
                    seen = True
                else:
                    assert found == expected, (change, asked)
            assert seen, change
            noticed += 1
            index.execute("ROLLBACK TO before")
    assert noticed > 300


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM places WHERE vibespace = 'other' AND nth = 3",
        "DELETE FROM places WHERE vibespace = 'other'",
        "UPDATE places SET position = 1 WHERE vibespace = 'other' AND nth = 3",
        "INSERT INTO places VALUES ('other', 1, 3)",
        "UPDATE upto SET (position, hash) = (SELECT position, hash FROM log.stored_events WHERE position = 12)",
        "UPDATE upto SET position = 12",
        "INSERT INTO upto SELECT * FROM upto",
        "DELETE FROM upto",
        "DROP TABLE counts",
        "ALTER TABLE places RENAME COLUMN nth TO number",
    ],
)
async def test_a_changed_index_is_made_anew(lived: House, change: str) -> None:
    """The events of a vibespace and what was true long ago are as the log says, and the index is as it was."""
    newest, index = lived.log.position, lived.log._index
    events = [r for r in lived.log.read(0) if Wanted("other").has(r.body["subject"], r.topic)]
    then = plain(lived.log.fold(newest - 1))["aggregates"]
    index.fill(newest)
    good = _content(index)
    for asked in ("find", "replay"):
        _change(index, change)
        if asked == "find":
            assert lived.log.find(Wanted("other"), 0, newest) == events
        else:
            assert plain(lived.log.replay(newest - 1))["aggregates"] == then
        assert lived.log.find(Wanted("other"), 0, newest) == events
        assert _content(index) == good


async def test_an_index_that_was_filled_less_far_than_it_says(lived: House) -> None:
    """Where only the mark of how far it goes was put on, with the hash that the log has there, that is noticed."""
    index, newest = lived.log._index, lived.log.position
    with index.filled(newest - 3) as connection:
        assert past.positions(connection, newest - 3)
    _change(
        index,
        "UPDATE upto SET (position, hash) = (SELECT position, hash FROM log.stored_events "
        "ORDER BY position DESC LIMIT 1)",
    )
    events = [r for r in lived.log.read(0) if Wanted("other").has(r.body["subject"], r.topic)]
    assert lived.log.find(Wanted("other"), 0, newest) == events


async def test_the_index_of_a_damaged_log_is_used_all_the_same(lived: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is missing in the log is missing in the answer, and the index is not made anew each time."""
    [_, third, *_] = [r for r in lived.log.read(0) if Wanted("other").has(r.body["subject"], r.topic)]
    with closing(sqlite3.connect(lived.path)) as connection, connection:
        connection.execute("DELETE FROM stored_events WHERE position = ?", (third.position,))
    monkeypatch.setattr(lived.log._recorder, "read_all", None)
    found = lived.log.find(Wanted("other"), 0, lived.log.position)
    assert third not in found
    assert len(found) > 3


def _change(index: Index, change: str) -> None:
    with index._open() as connection:
        connection.execute(change)


def _content(index: Index) -> list[list[object]]:
    with index._open() as connection:
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("places", "counts", "upto")]
