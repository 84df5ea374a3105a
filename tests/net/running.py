"""Short words for what tests of the net room do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from vibespace.net.base import Exit, Process, Shell

AGENT = "6f1c2f0e-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Ran:
    """All that a command left."""

    stdout: bytes
    stderr: bytes
    exit: Exit


async def run(shell: Shell, *command: str, stdin: bytes = b"", directory: str = "") -> Ran:
    """Run it to its end, feeding it meanwhile."""
    process = await shell.start(AGENT, command, directory=directory)
    return await finish(process, stdin)


async def finish(process: Process, stdin: bytes = b"") -> Ran:
    """Feed it, read it, wait for it."""

    async def feed() -> None:
        await process.write(stdin)
        await process.write_eof()

    feeding = asyncio.create_task(feed())
    said: dict[bool, list[bytes]] = {False: [], True: []}
    async for piece in process.output():
        said[piece.stderr].append(piece.data)
    await feeding
    return Ran(b"".join(said[False]), b"".join(said[True]), await process.wait())


async def first_line(process: Process) -> bytes:
    """What it says first: it runs."""
    async for piece in process.output():
        return piece.data
    return b""


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return when `condition` holds; fail when it never does."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (other programs tell nobody when it does)
            await asyncio.sleep(0.01)
