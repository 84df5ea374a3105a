"""What one person does in a day with one vibespace, over a connection of its own, and everything is gone after it."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from tests.bench.commands import PROGRAM
from tests.bench.place import Daemon
from vibespace.v1.agents_pb2 import (
    CreateAgentRequest,
    DeleteAgentRequest,
    ExecRequest,
    ExecStart,
    Terminal,
    TerminalSize,
)
from vibespace.v1.events_pb2 import WatchRequest
from vibespace.v1.vibespaces_pb2 import (
    GetVibespaceRequest,
    ListVibespacesRequest,
    StartVibespaceRequest,
    StopVibespaceRequest,
    VibespaceStatus,
)

COPIED = 1 << 20


async def live(home: Path, name: str, *, copies: bool) -> None:
    """From `create` to `delete`, a watcher beside it that comes and goes. With `copies`, files go in and out."""
    async with _connected(home) as daemon:
        await daemon.create(name)
        async with _watched(home):
            await daemon.running(name)
            await daemon.vibespaces.ListVibespaces(ListVibespacesRequest())
            agent = f"vibespaces/{name}/agents/claude-1"
            for _ in range(3):
                await daemon.execute(agent, "true")
            await _terminal(daemon, agent)
            if copies:
                await _copy(daemon, name)
        await _second_agent(daemon, name)
        request = f"vibespaces/{name}"
        await daemon.vibespaces.StopVibespace(StopVibespaceRequest(name=request, request_id=str(uuid.uuid4())))
        await daemon.vibespaces.StartVibespace(StartVibespaceRequest(name=request, request_id=str(uuid.uuid4())))
        await daemon.running(name)
        await daemon.execute(agent, "true")
        await daemon.delete(name)


@asynccontextmanager
async def _connected(home: Path) -> AsyncIterator[Daemon]:
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"unix:{home / 'daemon.sock'}", options=options) as channel:
        yield Daemon(home, channel)


@asynccontextmanager
async def _watched(home: Path) -> AsyncIterator[None]:
    """Somebody follows all that happens, for as long as the block runs, and breaks off."""
    async with _connected(home) as daemon:
        watch = daemon.events.Watch(WatchRequest())
        begun = asyncio.Event()

        async def follow() -> None:
            async for _ in watch:
                begun.set()

        following = asyncio.create_task(follow())
        try:
            await begun.wait()
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])


async def _terminal(daemon: Daemon, agent: str) -> None:
    """`exec -it`: types a line, changes the size, leaves."""

    async def requests() -> AsyncIterator[ExecRequest]:
        terminal = Terminal(type="xterm", size=TerminalSize(columns=80, rows=24))
        yield ExecRequest(start=ExecStart(name=agent, command=["sh"], terminal=terminal))
        yield ExecRequest(resize=TerminalSize(columns=100, rows=30))
        yield ExecRequest(stdin=b"echo typed; exit 3\n")
        await ended.wait()

    ended = asyncio.Event()
    code = None
    async for response in daemon.agents.Exec(requests()):
        if response.HasField("exit"):
            code = response.exit.code
            ended.set()
    if code != 3:
        raise RuntimeError(f"a shell at a terminal ended with {code}")


async def _copy(daemon: Daemon, name: str) -> None:
    """A file in and out again."""
    home, path = daemon.state.home, "/home/agent/copied"
    here = home / f"copied-{name}"
    here.write_bytes(os.urandom(COPIED))
    inside = f"claude-1@{name}:{path}"
    back = here.with_suffix(".back")
    for source, target in ((here, inside), (inside, back)):
        command = (PROGRAM, "cp", str(source), str(target))
        environment = {**os.environ, "VIBESPACE_HOME": str(home)}
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        if await process.wait():
            raise RuntimeError(f"{command} failed")
    if here.read_bytes() != back.read_bytes():
        raise RuntimeError("a copy of a copy is not the file")
    here.unlink()
    back.unlink()


async def _second_agent(daemon: Daemon, name: str) -> None:
    parent = f"vibespaces/{name}"
    created = await daemon.agents.CreateAgent(CreateAgentRequest(parent=parent, request_id=str(uuid.uuid4())))
    await daemon.running(name)
    await daemon.execute(created.agent.name, "true")
    await daemon.agents.DeleteAgent(DeleteAgentRequest(name=created.agent.name, request_id=str(uuid.uuid4())))
    await _until(daemon, parent, lambda status: status.agents == 1)


async def _until(daemon: Daemon, name: str, reached: Callable[[VibespaceStatus], bool]) -> None:
    while True:
        status = (await daemon.vibespaces.GetVibespace(GetVibespaceRequest(name=name))).vibespace.status
        if reached(status):
            return
        await asyncio.sleep(0.05)
