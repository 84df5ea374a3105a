"""The log: one SQLite file, every event in its place for ever, each hash over the one before."""

from __future__ import annotations

import shutil
import sqlite3
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from tests.app.house import House, add, create, delete, plain, stop
from vibespace.app.head import Head
from vibespace.app.log import Log
from vibespace.errors import FailedPrecondition

FRAME = 24 + 4096
"""Bytes of one frame in the WAL: its header and a page (sqlite.org/fileformat2.html, section 4)."""
WAL_HEADER = 32


def rows(path: Path, statement: str = "SELECT * FROM stored_events ORDER BY position") -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def some_history(house: House) -> None:
    await house.ask(create())
    await house.ask(add())
    await house.ask(stop())
    await house.ask(create("other", cpu="500m"))
    await house.ask(delete("other"))


async def test_every_event_has_its_place_from_1_up_without_gaps(house: House) -> None:
    """Positions are 1, 2, 3 and so on, over restarts and refusals too."""
    await some_history(house)
    await house.reopen()
    await house.ask(create("third"))
    assert [row[0] for row in rows(house.path)] == list(range(1, house.log.position + 1))


async def test_each_hash_is_over_the_one_before(house: House) -> None:
    """hash = sha256(previous hash, position, uid, version, topic, sha256(state)), from the first event on."""
    await some_history(house)
    previous = bytes(32)
    for recorded in house.log.read(0):
        where = f"{recorded.position}\n{recorded.uid}\n{recorded.version}\n{recorded.topic}\n"
        previous = sha256(previous + where.encode() + sha256(recorded.state).digest()).digest()
        assert recorded.hash == previous


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stored_events SET state = CAST(replace(state, 'demo', 'deme') AS BLOB) WHERE position = 3",
        "UPDATE stored_events SET topic = 'agent.deleted' WHERE position = 3",
        "DELETE FROM stored_events WHERE position = 3",
        "UPDATE stored_events SET originator_version = 9 WHERE position = 3",
        "UPDATE stored_events SET hash = x'00' WHERE position = 3",
    ],
)
async def test_an_event_that_is_not_as_it_was_written_is_noticed(house: House, tmp_path: Path, change: str) -> None:
    """A log in which anything was changed afterwards is LOG_UNUSABLE from the place of the change on."""
    await some_history(house)
    await house.close()
    changed = tmp_path / "changed.db"
    shutil.copy(house.path, changed)
    with sqlite3.connect(changed) as connection:
        assert connection.execute(change).rowcount == 1
    connection.close()
    log = Log(changed)
    with pytest.raises(FailedPrecondition, match="position 3") as e:
        log.load()
    assert e.value.reason == "LOG_UNUSABLE"
    log.close()
    await house.open()


@pytest.mark.parametrize(
    "change", ["originator_id = 'nonsense'", "state = 'text'", "state = x'ff'", "topic = 'nobody.knows'"]
)
async def test_what_cannot_even_be_read_is_noticed(house: House, change: str) -> None:
    """Bytes that no event was ever written as are LOG_UNUSABLE too, whatever the library says of them."""
    await some_history(house)
    await house.close()
    with sqlite3.connect(house.path) as connection:
        connection.execute(f"UPDATE stored_events SET {change} WHERE position = 3")
    connection.close()
    log = Log(house.path)
    with pytest.raises(FailedPrecondition) as e:
        log.load()
    assert e.value.reason == "LOG_UNUSABLE"
    log.close()
    house.path.rename(house.path.with_suffix(".damaged"))
    await house.open()


async def test_positions_survive_vacuum(house: House) -> None:
    """`position` is a column of its own: VACUUM, which may renumber rowids, changes no row."""
    await some_history(house)
    await house.close()
    before = rows(house.path)
    assert [row[5] for row in rows(house.path, "PRAGMA table_info(stored_events)") if row[1] == "position"] == [1]
    rows(house.path, "VACUUM")
    assert rows(house.path) == before
    await house.open()
    await house.ask(create("after"))
    assert house.log.position == len(before) + 2


async def test_a_restart_folds_to_the_same_state(house: House) -> None:
    """What the writer and the readers hold is what the log folds to."""
    await some_history(house)
    state = plain(house.feed.state)
    assert plain(house.written) == state
    assert plain(house.log.fold()) == state
    await house.reopen()
    assert plain(house.feed.state) == state


async def test_the_past_can_be_folded(house: House) -> None:
    """fold(until) is what was true after that event, at every place."""
    pasts = [plain(house.feed.state)]
    for command in (create(), add(), stop(), delete()):
        await house.ask(command)
        pasts.append(plain(house.feed.state))
    for past in pasts:
        assert plain(house.log.fold(past["position"])) == past


async def test_a_log_with_the_index_of_before_goes_on(house: House) -> None:
    """Logs once had an index over aggregates; it stays, and nothing minds."""
    await house.ask(create())
    await house.close()
    connection = sqlite3.connect(house.path)
    connection.execute("CREATE UNIQUE INDEX before ON stored_events (originator_id, originator_version)")
    connection.close()
    await house.open()
    await house.ask(stop())
    assert plain(house.log.fold()) == plain(house.feed.state)


@pytest.mark.parametrize("content", [b"not a database, by far", b"SQLite format 3\0" + bytes(4080) + b"x" * 4096])
def test_a_file_that_is_no_database_is_refused_and_untouched(tmp_path: Path, content: bytes) -> None:
    """Garbage is LOG_UNUSABLE, and stays as it was."""
    path = tmp_path / "events.db"
    path.write_bytes(content)
    with pytest.raises(FailedPrecondition) as e:
        Log(path).load()
    assert e.value.reason == "LOG_UNUSABLE"
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE stored_events (position INTEGER PRIMARY KEY)",
        "PRAGMA application_id = 1",
        "PRAGMA application_id = 1986618981; PRAGMA user_version = 2; CREATE TABLE t (a)",
    ],
)
def test_a_database_that_is_not_ours_or_newer_is_refused_and_untouched(tmp_path: Path, make: str) -> None:
    """Somebody else's database, or one of a newer vibespace, is LOG_UNUSABLE and stays as it was."""
    path = tmp_path / "events.db"
    connection = sqlite3.connect(path)
    connection.executescript(make)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(FailedPrecondition) as e:
        Log(path)
    assert e.value.reason == "LOG_UNUSABLE"
    assert e.value.hint
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


async def test_what_was_emptied_is_not_begun_anew(house: House) -> None:
    """A file without content, where a log is known to have been, is LOG_UNUSABLE and stays; moved away with what tells
    of it, a new log begins.
    """
    await house.ask(create())
    house.log.write_head(Head(house.feed.log_id, house.log.position, house.log.hash))
    await house.close()
    house.path.write_bytes(b"")
    with pytest.raises(FailedPrecondition, match="it is empty, and was not") as e:
        Log(house.path)
    assert e.value.reason == "LOG_UNUSABLE"
    assert house.path.read_bytes() == b""
    house.path.unlink()
    await house.open()
    assert house.log.position == 1
    assert house.log.lost(house.feed.log_id) is None


@pytest.mark.parametrize("left", [None, b""], ids=["gone", "empty"])
async def test_the_last_events_of_another_log_are_not_thrown_away(house: House, left: bytes | None) -> None:
    """A WAL whose log was moved away is LOG_UNUSABLE and stays as it is: SQLite would remove it."""
    await house.ask(create())
    wal = house.path.with_name("events.db-wal")
    copy = house.path.parent / "copy" / "events.db"
    copy.parent.mkdir()
    copy.with_name(wal.name).write_bytes(wal.read_bytes())
    if left is not None:
        copy.write_bytes(left)
    with pytest.raises(FailedPrecondition, match="holds the last events") as e:
        Log(copy)
    assert (e.value.reason, bool(e.value.hint)) == ("LOG_UNUSABLE", True)
    assert copy.with_name(wal.name).read_bytes() == wal.read_bytes()


async def test_a_log_that_was_cut_is_refused_or_found(house: House) -> None:
    """A file that lost its last pages is LOG_UNUSABLE from the start, with what is left untouched."""
    for n in range(40):
        await house.ask(create(f"v{n}"))
    await house.close()
    good = house.path.read_bytes()
    for length in range(4096, len(good) - 4096, 5 * 4096):
        house.path.write_bytes(good[:length])
        with pytest.raises(FailedPrecondition) as e:
            Log(house.path).load()
        assert (e.value.reason, bool(e.value.hint)) == ("LOG_UNUSABLE", True)
        assert house.path.read_bytes() == good[:length]
    house.path.write_bytes(good)
    await house.open()


async def test_an_event_of_a_newer_vibespace_is_named(house: House) -> None:
    """A good log with an event that this build does not know is no damage: the way out is another build."""
    await house.ask(create())
    event = house.log.read(0)[-1].stored
    newer = StoredEvent(uuid4(), 1, "dream.created", event.state)
    house.log.append([newer])
    await house.close()
    log = Log(house.path)
    with pytest.raises(FailedPrecondition, match="position 4 is as it was written, but") as e:
        log.load()
    assert "newer" in e.value.hint
    log.close()
    house.path.unlink()
    await house.open()


async def test_a_log_with_a_damaged_page_is_refused(house: House) -> None:
    """A file whose pages are broken is LOG_UNUSABLE, in one sentence."""
    await some_history(house)
    await house.close()
    good = house.path.read_bytes()
    house.path.write_bytes(good[:4096] + b"\xff" * 8192 + good[3 * 4096 :])
    with pytest.raises(FailedPrecondition) as e:
        Log(house.path).load()
    assert e.value.reason == "LOG_UNUSABLE"
    house.path.write_bytes(good)
    await house.open()


async def test_a_log_cut_anywhere_opens_to_a_prefix(tmp_path: Path) -> None:
    """A copy of the file, its WAL cut at every frame and within each, opens to the first n events, and n is never
    less than what was acknowledged when the WAL was that long.
    """
    house = House(tmp_path / "events.db")
    await house.open()
    wal = tmp_path / "events.db-wal"
    acknowledged = {wal.stat().st_size: house.log.position}
    for n in range(5):
        await house.ask(create(f"v{n}"))
        acknowledged[wal.stat().st_size] = house.log.position
    for n in range(5):
        await house.ask(stop(f"v{n}"))
        acknowledged[wal.stat().st_size] = house.log.position
    whole, main, history = wal.read_bytes(), house.path.read_bytes(), house.log.read(0)
    await house.close()
    frames = (len(whole) - WAL_HEADER) // FRAME
    assert len(whole) == WAL_HEADER + frames * FRAME
    assert frames > 10
    copy = tmp_path / "copy"
    for frame in range(frames + 1):
        for extra in (0, FRAME // 2):
            length = min(WAL_HEADER + frame * FRAME + extra, len(whole))
            copy.mkdir()
            (copy / "events.db").write_bytes(main)
            (copy / "events.db-wal").write_bytes(whole[:length])
            log = Log(copy / "events.db")
            log.load()
            found = log.read(0)
            log.close()
            shutil.rmtree(copy)
            assert found == history[: len(found)]
            assert len(found) >= max((count for size, count in acknowledged.items() if size <= length), default=0)
