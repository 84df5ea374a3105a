"""A command whose whole output fits on a screen: run it to its end and look at what it left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vibespace.net.base import Process, Shell

TAIL = 16 * 1024
"""Bytes kept of each stream's end; the rest is read and dropped."""


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and the ends of what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes
    sent: int
    """Bytes of standard input that were sent."""


class Command:
    """Runs commands in agents, word for word, in the home or `directory`. Raises what Shell raises; a code is none."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def __call__(
        self, agent_uid: str, *command: str, stdin: AsyncIterator[bytes] | None = None, directory: str = ""
    ) -> Result:
        """Run it on `stdin`, whose failure ends it and is raised. Nothing of it is left when this is cancelled."""
        process = await self._shell.start(agent_uid, command, directory=directory)
        feed = _Feed(process, stdin)
        reading, feeding = asyncio.create_task(_read(process)), asyncio.create_task(feed.run())
        try:
            await asyncio.wait({reading, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            stdout, stderr = await reading  # one that has ended early tells why, whatever was still to be sent
            return Result((await process.wait()).code, stdout, stderr, feed.sent)
        finally:
            reading.cancel()
            feeding.cancel()
            await process.close()
            await asyncio.wait({feeding})


class _Feed:
    """Standard input on its way into a command."""

    def __init__(self, process: Process, stdin: AsyncIterator[bytes] | None) -> None:
        self._process = process
        self._stdin = stdin
        self.sent = 0

    async def run(self) -> None:
        if self._stdin is not None:
            async for piece in self._stdin:
                await self._process.write(piece)
                self.sent += len(piece)
        await self._process.write_eof()


async def _read(process: Process) -> tuple[bytes, bytes]:
    kept = {False: bytearray(), True: bytearray()}
    async for piece in process.output():
        end = kept[piece.stderr]
        end += piece.data
        del end[:-TAIL]
    return bytes(kept[False]), bytes(kept[True])
