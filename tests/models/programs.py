"""The agents' own programs, each in a container of the agents' image that shares this machine's loopback."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.podman import cache
from vibespace.setup import podman

Event = dict[str, Any]


class Program:
    """One that runs; what it writes are lines of JSON."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def tell(self, message: Event) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def until(self, wanted: Callable[[Event], bool]) -> list[Event]:
        """What it says up to and with what is wanted."""
        said: list[Event] = []
        while not said or not wanted(said[-1]):
            line = await self._line()
            assert line, f"it ended without: {said}"
            said.append(json.loads(line))
        return said

    async def end(self) -> tuple[int, list[Event]]:
        """Its exit code, once its input has ended, and what it says before it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        said = []
        while line := await self._line():
            said.append(json.loads(line))
        return await self._process.wait(), said

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()


@asynccontextmanager
async def running(image: str, command: str, **variables: str) -> AsyncIterator[Program]:
    """A line of bash in a new container, which is gone afterwards."""
    environment = {**os.environ, **podman.environment(cache() / "podman")}
    name = f"models-{uuid.uuid4().hex[:12]}"
    process = await asyncio.create_subprocess_exec(
        "podman", "run", "--rm", "--interactive", "--network=host", f"--name={name}", "--entrypoint=/bin/bash",
        *(f"--env={key}={value}" for key, value in variables.items()), image, "-c", command,
        env=environment, stdin=PIPE, stdout=PIPE, limit=16 << 20,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            remove = await asyncio.create_subprocess_exec("podman", "rm", "--force", name, env=environment, stdout=PIPE)
            await remove.communicate()
            await process.communicate()
