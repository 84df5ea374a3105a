"""The checkpoint: a start need not fold what it holds, and nothing depends on its being there."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.app.house import House, create, plain, start, stop
from tests.goldens.make import live
from vibespace.app import checkpoint, disposable
from vibespace.app.live import State
from vibespace.app.log import Log
from vibespace.app.writer import Request
from vibespace.domain.transcripts import Transcript


def keep(house: House) -> None:
    house.log.write_checkpoint(house.feed.state.copy(), house.feed.hash)


async def test_it_holds_all_that_a_state_is(house: House) -> None:
    """After a life in which everything happens, what is read is what was written: order, requests and the gone too."""
    await live(house)
    keep(house)
    found = checkpoint.read(house.log.checkpoint)
    assert found
    assert plain(found.state) == plain(house.feed.state)
    assert found.hash == house.log.read(house.log.position - 1)[0].hash


async def test_a_start_goes_on_from_it(house: House) -> None:
    """What comes after the checkpoint is folded onto it; repeats of requests from before it are known."""
    created = await house.ask(create(), request_id="once")
    keep(house)
    await house.ask(stop())
    state = plain(house.feed.state)
    await house.reopen()
    assert house.log.checkpointed == created.position
    assert plain(house.feed.state) == state
    assert await house.ask(create(), request_id="once") == created
    await house.ask(start())
    await house.reopen()
    assert plain(house.log.fold()) == plain(house.feed.state)


async def test_the_past_can_be_folded_from_before_and_after_it(house: House) -> None:
    """fold(until) is the same with a checkpoint as without, on both sides of it."""
    await live(house)
    pasts = [plain(house.log.fold(position)) for position in range(1, house.log.position + 1)]
    middle = house.log.position // 2
    house.log.write_checkpoint(house.log.fold(middle), house.log.read(middle - 1, 1)[0].hash)
    assert [plain(house.log.fold(past["position"])) for past in pasts] == pasts


def header(path: Path, **changes: object) -> None:
    """The same checkpoint with another header, and right in itself."""
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    lines[1] = json.dumps(json.loads(lines[1]) | changes).encode() + b"\n"
    path.write_bytes(b"".join(lines) + json.dumps(sha256(b"".join(lines)).hexdigest()).encode() + b"\n")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILT: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "cut at a line": lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2])),
    "changed": lambda path: path.write_bytes(path.read_bytes().replace(b"demo", b"deme")),
    "no JSON": lambda path: path.write_bytes(b"\xff\n\xfe\n"),
    "a directory": a_directory,
    "of another build": lambda path: disposable.write(path, "another", disposable.read(path, checkpoint.build()) or ()),
    "of another log": lambda path: header(path, hash="00" * 32),
    "ahead of the log": lambda path: header(path, position=1000),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_what_is_wrong_with_it_is_nobodys_business(house: House, spoil: Callable[[Path], Any]) -> None:
    """Damaged, foreign, of another build or ahead of the log: the start is as if there were none."""
    await house.ask(create())
    await house.ask(stop())
    state = plain(house.feed.state)
    keep(house)
    await house.close()
    spoil(house.path.with_name("checkpoint"))
    await house.open()
    assert house.log.checkpointed == 0
    assert plain(house.feed.state) == state


async def test_one_that_was_spoilt_would_have_been_used(house: House) -> None:
    """The header that the tests above change is otherwise taken as it is."""
    await house.ask(create())
    keep(house)
    await house.close()
    header(house.path.with_name("checkpoint"))
    await house.open()
    assert house.log.checkpointed == house.log.position


async def test_damage_after_it_is_found_by_a_start(house: House) -> None:
    """What a start folds it has checked."""
    await house.ask(create())
    keep(house)
    await house.ask(stop())
    await house.ask(start())
    await house.close()
    with sqlite3.connect(house.path) as connection:
        connection.execute("UPDATE stored_events SET state = '{}' WHERE position = 4")
    connection.close()
    log = Log(house.path)
    with pytest.raises(Exception, match="position 4: changed"):
        log.load()
    log.close()
    house.path.unlink()
    await house.open()


async def test_it_is_written_beside_writers(house: House, tmp_path: Path) -> None:
    """A checkpoint of a moment is right, whatever was written meanwhile."""
    await house.ask(create())
    state, hash_ = house.feed.state.copy(), house.feed.hash
    await house.together(*((create(f"v{n}"), Request("local", f"q{n}", "d")) for n in range(20)))
    house.log.write_checkpoint(state, hash_)
    shutil.copy(house.log.checkpoint, tmp_path / "copy")
    found = checkpoint.read(tmp_path / "copy")
    assert found
    assert plain(found.state) == plain(house.log.fold(found.state.position)) == plain(state)


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_moment_long_ago_is_made_of_what_was_there(house: House, indexed: bool) -> None:
    """replay(until) holds the same things at the same places as the fold of all events, at every position: also where
    a name was somebody else's before, and where there can be no index. Only how far a transcript was read is not told.
    """
    await live(house)
    await house.ask(create("goes"))
    house.log.write_checkpoint(house.feed.state.copy(), house.feed.hash)
    if not indexed:
        index = house.path.with_name("index.db")
        index.unlink()
        index.mkdir()
    for position in range(1, house.log.position):
        there, all_ = house.log.replay(position), house.log.fold(position)
        for state in (there, all_):
            without_transcripts(state)
        replayed, folded = plain(there), plain(all_)
        for what in (
            "position",
            "host",
            "vibespaces",
            "members",
            "aggregates",
            "conversations",
            "messages",
            "approvals",
        ):
            assert replayed[what] == folded[what], (position, what)
        assert sorted(replayed["positions"]) == sorted(folded["positions"])


def without_transcripts(state: State) -> None:
    for found in [found for found in state.aggregates.values() if isinstance(found, Transcript)]:
        del state.aggregates[found.id], state.positions[found.id]
