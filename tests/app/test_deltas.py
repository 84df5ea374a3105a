"""What agents are just saying, piece by piece."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vibespace.app.deltas import Deltas, Piece
from vibespace.domain.transcripts import Place
from vibespace.vault import MASKED, Vault

AGENT, SECRET = "uid", "hunter2-hunter2"
BEGIN, LATER = Place(1, 1), Place(1, 9)


def always(_: Place) -> bool:
    return True


def deltas(tmp_path: Path) -> Deltas:
    vault = Vault(tmp_path / "vault")
    vault.store("another", {"A": SECRET})
    return Deltas(vault.pieces)


async def first(deltas: Deltas) -> Piece:
    """What somebody who comes now is told first."""
    async with asyncio.timeout(5):
        return await anext(deltas.follow(AGENT, always))


async def test_who_comes_late_has_it_from_the_beginning(tmp_path: Path) -> None:
    """Each block by itself; what comes then is told at once, with its place."""
    said = deltas(tmp_path)
    said.add(AGENT, "t", "one", "Let me ", BEGIN)
    said.add(AGENT, "t", "one", "see", BEGIN)
    said.add(AGENT, "t", "two", "Well", BEGIN)
    said.add("other", "t", "three", "not this", BEGIN)
    pieces = said.follow(AGENT, always)
    assert await anext(pieces) == Piece("t", "one", 0, "Let me see")
    assert await anext(pieces) == Piece("t", "two", 0, "Well")
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    said.add(AGENT, "t", "one", ".", BEGIN)
    assert await waiting == Piece("t", "one", 10, ".")


async def test_what_is_whole_is_not_told(tmp_path: Path) -> None:
    """The log has it; nor is what a turn leaves unsaid when it is over, and the next is another."""
    said = deltas(tmp_path)
    for block in ("one", "two"):
        said.add(AGENT, "t", block, f"{block}.", BEGIN)
    said.end(AGENT, "one")
    said.end_turn(AGENT, "a helper's")
    assert await first(said) == Piece("t", "two", 0, "two.")
    said.end_turn(AGENT, "t")
    said.add(AGENT, "u", "two", "again.", BEGIN)
    assert await first(said) == Piece("u", "two", 0, "again.")
    said.forget(AGENT)
    said.add(AGENT, "u", "last", "here.", BEGIN)
    assert await first(said) == Piece("u", "last", 0, "here.")


async def test_another_block_may_have_the_name_of_one_that_was_told(tmp_path: Path) -> None:
    """Also a shorter one: it is told from its beginning."""
    said = deltas(tmp_path)
    pieces = said.follow(AGENT, always)
    said.add(AGENT, "t", "one", "It is long.", BEGIN)
    assert await anext(pieces) == Piece("t", "one", 0, "It is long.")
    said.end(AGENT, "one")
    said.add(AGENT, "t", "one", "Short.", BEGIN)
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    assert waiting.done()
    assert await waiting == Piece("t", "one", 0, "Short.")


async def test_what_is_told_in_pieces_has_a_limit(tmp_path: Path) -> None:
    """As many blocks at once, as many characters of one, and names as a program has; the rest is only told whole."""
    said = deltas(tmp_path)
    said.add(AGENT, "t" * 1001, "named at length", "no", BEGIN)
    for number in range(100):
        said.add(AGENT, "t", f"{number}", "yes", BEGIN)
    said.add(AGENT, "t", "0", "x" * (2 << 20), BEGIN)
    said.add(AGENT, "t", "0", "no", BEGIN)
    pieces = said.follow(AGENT, always)
    told = [await anext(pieces) for _ in range(20)]
    assert [piece.block for piece in told] == [f"{number}" for number in range(20)]
    assert len(told[0].text) == (2 << 20) + 3
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    assert not waiting.done()
    said.end(AGENT, "1")
    said.add(AGENT, "t", "next", "yes", BEGIN)
    assert await waiting == Piece("t", "next", 0, "yes")


async def test_text_is_not_held_back(tmp_path: Path) -> None:
    """But for an end that may be the beginning of a value, until it is clear that it is none."""
    said = deltas(tmp_path)
    said.add(AGENT, "t", "one", "it is hun", BEGIN)
    assert await first(said) == Piece("t", "one", 0, "it is ")
    said.add(AGENT, "t", "one", "gry", BEGIN)
    assert await first(said) == Piece("t", "one", 0, "it is hungry")


async def test_a_value_that_two_blocks_share_is_none(tmp_path: Path) -> None:
    """What waits in one is not put before what another says."""
    said = deltas(tmp_path)
    said.add(AGENT, "t", "one", SECRET[:7], BEGIN)
    said.add(AGENT, "t", "two", f"{SECRET[7:]}.", BEGIN)
    assert await first(said) == Piece("t", "two", 0, f"{SECRET[7:]}.")


@pytest.mark.parametrize("size", [1, 2, 7, 14, 100])
async def test_no_value_is_told_however_it_is_cut(tmp_path: Path, size: int) -> None:
    """Not to who follows from the beginning, and not to who comes at the end."""
    text = f"{SECRET} or {SECRET}{SECRET}, not {SECRET[:-1]}."
    said, pieces = deltas(tmp_path), ""

    async def follow() -> None:
        nonlocal pieces
        async for piece in said.follow(AGENT, always):
            pieces += piece.text

    following = asyncio.create_task(follow())
    for at in range(0, len(text), size):
        said.add(AGENT, "t", "one", text[at : at + size], BEGIN)
        await asyncio.sleep(0)
    expected = f"{MASKED} or {MASKED}{MASKED}, not {SECRET[:-1]}."
    assert await first(said) == Piece("t", "one", 0, expected)
    await asyncio.sleep(0)
    following.cancel()
    assert pieces == expected


async def test_a_block_is_told_after_what_was_before_it(tmp_path: Path) -> None:
    """Once that is due; what is amid another is told meanwhile."""
    said, due = deltas(tmp_path), [BEGIN]
    said.add(AGENT, "t", "two", "Later.", LATER)
    said.add(AGENT, "t", "one", "Now.", BEGIN)
    pieces = said.follow(AGENT, lambda after: after in due)
    assert await anext(pieces) == Piece("t", "one", 0, "Now.")
    waiting = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)
    assert not waiting.done()
    due.append(LATER)
    said.wake(AGENT)
    assert await waiting == Piece("t", "two", 0, "Later.")


async def test_what_is_read_again_is_told_if_it_is_not_whole(tmp_path: Path) -> None:
    """A daemon that begins reads blocks that were whole long ago; then it is amid one."""
    said = deltas(tmp_path)
    said.hold(AGENT)
    for block in ("one", "two"):
        said.add(AGENT, "t", block, f"{block}.", BEGIN)
    waiting = asyncio.ensure_future(anext(said.follow(AGENT, always)))
    await asyncio.sleep(0)
    said.end(AGENT, "one")
    assert (said.is_saying(AGENT), waiting.done()) == (True, False)
    said.show(AGENT)
    assert await waiting == Piece("t", "two", 0, "two.")
    said.end_turn(AGENT, "t")
    assert not said.is_saying(AGENT)
