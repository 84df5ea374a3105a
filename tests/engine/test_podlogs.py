"""What is told of a log in which not every line is the container's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vibespace.engine import podlogs
from vibespace.engine.kubeapi import Api

LOG = b"""\
2026-11-25T01:00:01.5Z one
failed to watch file "/var/log/pods/0.log": no space left on device
2026-11-25T01:00:02.5Z two
unable to retrieve container logs for containerd://1"""
BETWEEN = datetime(2026, 11, 25, 1, 0, 2, tzinfo=UTC).timestamp()
TOLD = [
    b"one\n",
    b'failed to watch file "/var/log/pods/0.log": no space left on device\n',
    b"two\n",
    b"unable to retrieve container logs for containerd://1",
]


class Kept(Api):
    """A cluster that has the one log, whoever asks."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))

    async def content(self, path: str, /, **query: Any) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(LOG), 7):  # pieces of an answer begin and end anywhere
            yield LOG[at : at + 7]


async def told(*, follow: bool, since: float = 0) -> list[bytes]:
    pieces = podlogs.read(Kept(), "pod", follow=follow, since=since, ended=False)
    return [piece.data async for piece in pieces]


async def test_what_the_kubelet_says_is_told_as_it_is() -> None:
    """It has no time in front; neither is it an end of what is told, nor does it lose its first word."""
    assert await told(follow=False) == TOLD


async def test_nor_is_it_told_twice() -> None:
    """Who follows has the log read to him once more when the container has ended."""
    assert await told(follow=True) == TOLD


async def test_a_line_without_end() -> None:
    """Its beginning is told, and what comes after it."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(64):
            yield b"x" * 100_000
        yield b"\nnext"

    told = [line.data async for line in podlogs._lines(pieces())]
    assert told == [b"x" * podlogs.LONGEST + b"\n", b"next"]


async def test_from_a_moment_on() -> None:
    """Of when it was said nobody knows, so it is told."""
    assert await told(follow=False, since=BETWEEN) == TOLD[1:]
