"""The audit: whatever was done to a log afterwards is found, with its place and its kind."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.app.house import House, add, create, delete, start, stop
from vibespace.app.audit import Damage
from vibespace.app.log import Log


async def history(path: Path) -> int:
    """A log with a few things in it; its length."""
    house = House(path)
    await house.open()
    for name in ("one", "two"):
        await house.ask(create(name))
        await house.ask(add(name))
        await house.ask(stop(name))
        await house.ask(start(name))
    await house.ask(delete("one"))
    length = house.log.position
    await house.close()
    return length


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: every test damages a copy."""
    import asyncio

    path = tmp_path_factory.mktemp("audit") / "events.db"
    assert asyncio.run(history(path)) == LENGTH
    return path


LENGTH = 12


def examined(whole: Path, *damage: str, length: int = LENGTH) -> list[Damage]:
    """What an audit finds after these statements."""
    directory = whole.parent / "copy"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    copy = Path(shutil.copy(whole, directory / "events.db"))
    connection = sqlite3.connect(copy)
    # Whoever can write to the file can also take away what keeps it in order.
    connection.executescript(
        f"CREATE TABLE loose AS SELECT * FROM stored_events; DROP TABLE stored_events; "
        f"ALTER TABLE loose RENAME TO stored_events; {';'.join(damage)}"
    )
    connection.commit()
    connection.close()
    log = Log(copy)
    audit = log.audit()
    while log.examine(audit, length):
        pass
    damages = audit.finish()
    log.close()
    return damages


def found(whole: Path, *damage: str) -> list[tuple[int, str]]:
    return [(one.position, one.kind) for one in examined(whole, *damage)]


POSITIONS = st.integers(2, LENGTH - 1)


def test_a_whole_log_is_whole(whole: Path) -> None:
    """Nothing is found where nothing was done."""
    assert found(whole) == []


@given(at=st.integers(1, LENGTH), what=st.sampled_from(["state", "topic", "uid", "version", "hash", "no event"]))
@settings(deadline=None, max_examples=25)
def test_a_changed_event_is_found(whole: Path, at: int, what: str) -> None:
    """At its place, whatever of it was changed, and nothing else is suspected."""
    change = {
        "state": "state = CAST(replace(state, 'actor', 'autor') AS BLOB)",
        "topic": "topic = 'agent.deleted'",
        "uid": "originator_id = '00000000000000000000000000000063'",
        "version": "originator_version = 99",
        "hash": "hash = zeroblob(32)",
        "no event": "originator_id = 'nonsense'",
    }[what]
    assert found(whole, f"UPDATE stored_events SET {change} WHERE position = {at}") == [(at, "changed")]


@given(at=POSITIONS, many=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_a_missing_event_is_found(whole: Path, at: int, many: int) -> None:
    """Where events were taken out, one finding says which: with the gap they left, and after the rest moved up."""
    last = min(at + many - 1, LENGTH - 1)
    taken = f"DELETE FROM stored_events WHERE position BETWEEN {at} AND {last}"
    [gap] = examined(whole, taken)
    assert (gap.position, gap.kind) == (at, "missing")
    assert (str(last) in gap.message) == (last >= at)
    closed = f"UPDATE stored_events SET position = position - {last - at + 1} WHERE position > {last}"
    if last < LENGTH - 1:  # of the very last one it cannot be said what came before it
        assert found(whole, taken, closed)[0] == (at, "missing")
    else:
        assert found(whole, taken, closed)[0] == (at, "changed")


def test_a_missing_end_is_found(whole: Path) -> None:
    """Fewer rows than there should be."""
    taken = f"DELETE FROM stored_events WHERE position > {LENGTH - 3}"
    assert found(whole, taken) == [(LENGTH - 2, "missing")]


@given(one=st.integers(1, LENGTH), two=st.integers(1, LENGTH), hashes=st.booleans())
@settings(deadline=None, max_examples=25)
def test_two_that_changed_places_are_found(whole: Path, one: int, two: int, hashes: bool) -> None:
    """Both, with the place of the other, whether their hashes went with them or stayed."""
    if one == two:
        return
    if hashes:
        steps = [(one, "-1"), (two, str(one)), (-1, str(two))]
        damage = [f"UPDATE stored_events SET position = {to} WHERE position = {at}" for at, to in steps]
    else:
        columns = ("originator_id", "originator_version", "topic", "state")
        values = ", ".join(
            f"{c} = (SELECT {c} FROM was o WHERE o.position = {one + two} - stored_events.position)" for c in columns
        )
        damage = ["CREATE TABLE was AS SELECT * FROM stored_events"]
        damage += [f"UPDATE stored_events SET {values} WHERE position IN ({one}, {two})"]
    damages = examined(whole, *damage)
    assert [(d.position, d.kind) for d in damages] == [(min(one, two), "reordered"), (max(one, two), "reordered")]
    assert f"position {max(one, two)}" in damages[0].message
    assert f"position {min(one, two)}" in damages[1].message


@given(of=st.integers(1, LENGTH), at=st.integers(1, LENGTH))
@settings(deadline=None, max_examples=25)
def test_a_doubled_event_is_found(whole: Path, of: int, at: int) -> None:
    """Put in once more, and all others moved on by one: the copy or the event beside it is found as doubled."""
    moved = f"UPDATE stored_events SET position = position + 1 WHERE position >= {at}"
    source = of + 1 if of >= at else of
    columns = f"{at}, originator_id, originator_version, topic, state, hash"
    copied = f"INSERT INTO stored_events SELECT {columns} FROM stored_events WHERE position = {source}"
    damages = examined(whole, moved, copied, length=LENGTH + 1)
    # The last event, where nothing comes after it, is found one place too far.
    assert [one.kind for one in damages] == (["doubled", "reordered"] if at == LENGTH > of + 1 else ["doubled"])


def test_a_broken_file_is_found(whole: Path, tmp_path: Path) -> None:
    """Pages that SQLite itself cannot read are `unreadable` from there on."""
    broken = tmp_path / "broken.db"
    good = whole.read_bytes()
    log = Log(Path(shutil.copy(whole, broken)))
    broken.write_bytes(good[:4096] + b"\xff" * (len(good) - 4096))
    audit = log.audit()
    while log.examine(audit, LENGTH):
        pass
    log.close()
    assert [(one.position, one.kind) for one in audit.finish()] == [(1, "unreadable")]
