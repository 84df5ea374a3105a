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

    def __init__(self, process: Process, container: str) -> None:
        self._process = process
        self.container = container

    def tell(self, message: Event, data: bytes = b"") -> None:
        """Write a line to it, and what belongs to that."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n" + data)

    async def exactly(self, size: int) -> bytes:
        """What it says that is no line."""
        assert self._process.stdout is not None
        return await self._process.stdout.readexactly(size)

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
    name = f"models-{uuid.uuid4().hex[:12]}"
    process = await _podman(
        "run", "--rm", "--interactive", "--network=host", f"--name={name}", "--entrypoint=/bin/bash",
        *(f"--env={key}={value}" for key, value in variables.items()), image, "-c", command,
    )  # fmt: skip
    try:
        yield Program(process, name)
    finally:
        if process.returncode is None:
            await (await _podman("rm", "--force", name)).communicate()
            await process.communicate()


@asynccontextmanager
async def beside(program: Program, *words: str, **variables: str) -> AsyncIterator[Program]:
    """Another one in its container."""
    given = (f"--env={key}={value}" for key, value in variables.items())
    process = await _podman("exec", "--interactive", *given, program.container, *words)
    try:
        yield Program(process, program.container)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _podman(*words: str) -> Process:
    environment = {**os.environ, **podman.environment(cache() / "podman")}
    return await asyncio.create_subprocess_exec(
        "podman", *words, env=environment, stdin=PIPE, stdout=PIPE, limit=16 << 20
    )
