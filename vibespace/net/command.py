"""A command whose whole output fits on a screen: run it to its end and look at what it left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vibespace.net.base import Process, Shell

KEPT = 16 * 1024
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
        reading = asyncio.create_task(_read(process))
        try:
            sent = 0
            if stdin is not None:
                async for piece in stdin:
                    if reading.done():
                        break  # it has ended, and tells why
                    await process.write(piece)
                    sent += len(piece)
            await process.write_eof()
            stdout, stderr = await reading
            return Result((await process.wait()).code, stdout, stderr, sent)
        finally:
            reading.cancel()
            await process.close()


async def _read(process: Process) -> tuple[bytes, bytes]:
    kept = {False: bytearray(), True: bytearray()}
    async for piece in process.output():
        end = kept[piece.stderr]
        end += piece.data
        del end[:-KEPT]
    return bytes(kept[False]), bytes(kept[True])
