"""What agents' programs print, on its way to the log and to those who watch; and where a daemon goes on after another.

The engine is the fake one, whose sshds are in the daemon: both ends of each connection are counted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import perf_counter

from tests.bench import place, printing, processes
from tests.bench.pairing import Figure, Wanted, alone
from tests.bench.talking import Talk, numbers
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.system_pb2 import GetStatusRequest

TALKERS, RATE, SECONDS = 5, 200, 10
BACKLOG = 20_000
AGENTS, STORED, NEW = 20, 10_000, 100
_PATIENCE = 600
"""Seconds for a step of what is measured."""


async def rows() -> list[Figure]:
    with _home() as home:
        async with _serving(home) as daemon:
            await daemon.initialize()
            share, rate = await _flow(daemon)
    with _home() as home:
        seconds = await _restart(home)
    return [
        alone(f"daemon, {TALKERS} agents at {RATE} lines a second", Wanted(100, unit="%"), share),
        alone("lines of a backlog to log and watcher", Wanted(2000, at_least=True, unit="/s"), rate),
        alone(f"restart, {AGENTS} agents at work, {NEW} new lines each → all seen", Wanted(3, unit="s"), seconds),
    ]


async def _flow(daemon: place.Daemon) -> tuple[float, float]:
    """Percent of a processor that the daemon takes for many slow programs; lines a second of one that does not wait."""
    talks = await _talks(daemon, TALKERS)
    pid = (await daemon.system.GetStatus(GetStatusRequest())).daemon.pid
    _say(f"{TALKERS} agents print for {SECONDS} s")
    lines = RATE * SECONDS
    before, begin = processes.seconds(pid), perf_counter()
    async with asyncio.timeout(_PATIENCE):
        seen = await asyncio.gather(*(talk.print(lines=lines, rate=RATE) for talk in talks))
    share = (processes.seconds(pid) - before) / (perf_counter() - begin) * 100
    assert all(each == list(range(lines)) for each in seen), "lines were lost on the way to the watchers"
    assert [await talk.printed() for talk in talks] == [[0, *range(lines)]] * TALKERS, "lines were lost"
    _say(f"one prints {BACKLOG} lines at once")
    begin = perf_counter()
    async with asyncio.timeout(_PATIENCE):
        assert await talks[0].print(lines=BACKLOG) == list(range(BACKLOG))
    return share, BACKLOG / (perf_counter() - begin)


async def _restart(home: Path) -> float:
    """Seconds from the start of a daemon until what was printed without one is seen, of every agent."""
    go, done = home / "go", [home / f"done-{number}" for number in range(AGENTS)]
    async with _serving(home) as daemon:
        await daemon.initialize()
        talks = await _talks(daemon, AGENTS)
        _say(f"{AGENTS} agents print {STORED} lines each")
        async with asyncio.timeout(_PATIENCE):
            cursors = await asyncio.gather(*(_stored(talk, go, path) for talk, path in zip(talks, done, strict=True)))
    go.touch()
    _say(f"{NEW} lines more of each, without a daemon")
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*map(_made, done))
    begin = perf_counter()
    async with _serving(home) as daemon:
        talks = [Talk(daemon, talk.name) for talk in talks]
        async with asyncio.timeout(_PATIENCE):
            await asyncio.gather(*(_caught_up(*each) for each in zip(talks, cursors, strict=True)))
        took = perf_counter() - begin
        _say("all of it is compared")
        for talk in talks:
            assert await talk.printed() == [0, *range(STORED + NEW)], "a transcript is not the uncut one"
    return took


async def _stored(talk: Talk, go: Path, done: Path) -> Cursor:
    """The place of the last of STORED lines in the log."""
    asked = {"lines": STORED, "wait": str(go), "more": NEW, "done": str(done)}
    return await _seen(talk, (await talk.ask(**asked)).cursor, STORED - 1)


async def _made(path: Path) -> None:
    """Return when there is such a file."""
    while True:
        if await asyncio.to_thread(path.exists):
            return
        await asyncio.sleep(0.1)


async def _caught_up(talk: Talk, after: Cursor) -> None:
    await _seen(talk, after, STORED + NEW - 1)


async def _seen(talk: Talk, after: Cursor, last: int) -> Cursor:
    async for response in talk.follow(after):
        if last in numbers(response.blocks):
            return response.cursor
    raise AssertionError("the transcript ended")


async def _talks(daemon: place.Daemon, agents: int) -> list[Talk]:
    """So many agents whose programs run."""
    names = [f"v{number}" for number in range(agents)]
    await asyncio.gather(*map(daemon.create, names))
    await asyncio.gather(*map(daemon.running, names))
    talks = [Talk(daemon, f"vibespaces/{name}/agents/claude-1") for name in names]
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(talk.print(lines=1) for talk in talks))
    return talks


@contextmanager
def _home() -> Iterator[Path]:
    """A state directory, and beside it the program that agents find as `claude`; at the end no agent is left."""
    with place.directory() as home:
        program = home / "bin" / "claude"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {printing.__file__} "$@"\n')
        program.chmod(0o700)
        try:
            yield home
        finally:
            _end_programs(home)


@asynccontextmanager
async def _serving(home: Path) -> AsyncIterator[place.Daemon]:
    with place.server("vibespace.daemon", home, PATH=f"{home / 'bin'}:{os.environ['PATH']}"):
        async with place.connected(home) as daemon:
            yield daemon


def _end_programs(home: Path) -> None:
    """Kill what has its home below: the runners outlive a daemon, and there are no containers that end with it."""
    mark = b"\0HOME=" + os.fsencode(home) + b"/"
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it is gone
            if mark in b"\0" + (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def _say(what: str) -> None:
    print(f"  {what} …", file=sys.stderr)
