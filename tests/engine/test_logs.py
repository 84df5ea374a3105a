"""What following tells where an engine leaves some out, which no engine does on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from vibespace.engine import logs
from vibespace.engine.api import Api
from vibespace.engine.base import Written
from vibespace.engine.told import Told


class Leaky(Api):
    """An engine that tells `followed` to who follows, and `kept` to who asks when its container has ended."""

    def __init__(self, followed: bytes, kept: bytes) -> None:
        super().__init__("nowhere")
        self.followed, self.kept = followed, kept

    async def content(self, path: str, /, **query: Any) -> AsyncGenerator[bytes, None]:
        answer = self.followed if query["follow"] else self.kept
        for at in range(0, len(answer), 7):  # pieces of an answer begin and end anywhere
            yield answer[at : at + 7]

    async def stream(self, method: str, path: str, /, tar: object = None, **query: Any) -> AsyncGenerator[Any, None]:
        await asyncio.Event().wait()  # its end is known when `followed` ends
        yield {}


def log(lines: Sequence[str], *, second: int = 1) -> bytes:
    """As it comes over the wire, each line a frame with the time in front; the odd ones are of stderr."""
    stamped = [f"2026-11-25T01:00:{second:02}+01:00 {line}\n".encode() for line in lines]
    return b"".join(bytes([1 + n % 2, 0, 0, 0]) + len(each).to_bytes(4, "big") + each for n, each in enumerate(stamped))


async def follow(followed: bytes, kept: bytes) -> list[str]:
    following = logs.read(Leaky(followed, kept), "1", follow=True, since=0)
    return [written.data.decode().rstrip("\n") async for written in following]


BURST = [f"line {n}" for n in range(100)]


async def test_streams_are_told_apart() -> None:
    """Each line comes on its stream, as it was written: its time, by which it is known again, is left out."""
    api = Leaky(b"", log(["out", "err", ""]))
    told = [written async for written in logs.read(api, "1", follow=False, since=0)]
    assert told == [Written(b"out\n"), Written(b"err\n", stderr=True), Written(b"\n")]


async def test_a_burst_that_loses_its_middle() -> None:
    """What was left out comes at the end, in its order and alone: nothing is told twice."""
    whole = log(BURST)
    frame = len(log(BURST[:1]))
    lost = slice(10 * frame, 10 * frame + len(log(BURST[10:60])))
    followed = whole[: lost.start] + whole[lost.stop :]
    assert await follow(followed, whole) == BURST[:10] + BURST[60:] + BURST[10:60]


async def test_a_reading_that_is_cut_off() -> None:
    """A line of which only a part came is told once, whole."""
    assert await follow(log(BURST)[:-4], log(BURST)) == BURST


async def test_equal_lines() -> None:
    """As many of them are told as were written."""
    assert await follow(log(["same"] * 4), log(["same"] * 10)) == ["same"] * 10


async def test_lines_that_end_alike() -> None:
    """The end of a line that came in two pieces is told, also where the same end of another one was."""
    stamp = b"2026-11-25T01:00:01+01:00 "

    def pieces(*texts: bytes) -> bytes:
        return b"".join(bytes([1, 0, 0, 0]) + len(stamp + text).to_bytes(4, "big") + stamp + text for text in texts)

    told = await follow(pieces(b"one, ", b"end\n"), pieces(b"two, ", b"end\n"))
    assert told == ["one, ", "end", "two, ", "end"]


async def test_a_log_that_was_begun_anew() -> None:
    """What the engine has dropped meanwhile does not count against what it has kept."""
    assert await follow(log(BURST), log(BURST[98:]) + log(["last"], second=2)) == [*BURST, "last"]
    anew = log([*BURST[90:], "last"])
    assert await follow(log(BURST), anew) == [*BURST, "last"]


@pytest.mark.parametrize("zone", ["+01:00", ".123456789Z"])
def test_more_than_is_remembered(zone: str) -> None:
    """What is known no more counts as told by its time, what is missing from the rest is missed."""
    frames = [Written(f"2026-11-25T01:{n // 60:02}:{n % 60:02}{zone} line\n".encode()) for n in range(1000)]
    told = Told(remembered=100)
    for n, frame in enumerate(frames):
        if n != 950:
            told.add(frame)
    assert [n for n, frame in enumerate(frames) if not told.take(frame)] == [950]
