"""Where rows are measured: a directory on a real disk, a daemon on a state directory of its own, and callers."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import perf_counter

import grpc

from tests.hosts import FAKE_ENGINE
from tests.podman import cache
from vibespace.state import State
from vibespace.v1 import agents_pb2, events_pb2, system_pb2, vibespaces_pb2
from vibespace.v1.agents_pb2_grpc import AgentServiceStub
from vibespace.v1.conversations_pb2_grpc import ConversationServiceStub
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

_GONE_SECONDS = 60
"""What the deletion of a vibespace may take; half a second is usual."""


@contextmanager
def directory() -> Iterator[Path]:
    """A new directory beside the cache: /tmp may lie in memory, where a commit costs nothing."""
    cache().mkdir(mode=0o700, parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=cache()))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def server(module: str, home: Path, **environment: str) -> Iterator[None]:
    """`python -m module --ready-fd N` serves `home`, from when it says so until the block ends."""
    ready, tell = os.pipe()
    with open(ready, "rb") as pipe:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "--ready-fd", str(tell)],
                env={**os.environ, **environment, "VIBESPACE_HOME": str(home)},
                pass_fds=(tell,),
            )
        finally:
            os.close(tell)
        try:
            if not pipe.readline():
                raise RuntimeError(f"{module} did not start")
            yield
        finally:
            process.terminate()
            process.wait()


class Daemon:
    """A daemon with its state directory, and the ways to call it."""

    def __init__(self, home: Path, channel: grpc.aio.Channel) -> None:
        self.state = State(home)
        self.channel = channel
        self.vibespaces = VibespaceServiceStub(channel)
        self.agents = AgentServiceStub(channel)
        self.conversations = ConversationServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.system = SystemServiceStub(channel)

    async def initialize(self, engine: system_pb2.HostEngine = FAKE_ENGINE, image: str = "fake") -> None:
        """Tell it its engine."""
        await self.system.Initialize(
            system_pb2.InitializeRequest(engine=engine, image=image, request_id=str(uuid.uuid4()))
        )

    async def create(self, name: str, env: Sequence[str] = ()) -> vibespaces_pb2.Vibespace:
        """A vibespace, accepted."""
        settings = agents_pb2.AgentSettings(type=agents_pb2.AGENT_TYPE_CLAUDE_CODE, env=env)
        request = vibespaces_pb2.CreateVibespaceRequest(
            vibespace_id=name, agent_id="claude-1", agent=settings, request_id=str(uuid.uuid4())
        )
        return (await self.vibespaces.CreateVibespace(request)).vibespace

    async def running(self, name: str) -> None:
        """Return when all agents of the vibespace run."""
        request = vibespaces_pb2.GetVibespaceRequest(name=f"vibespaces/{name}")
        while True:
            status = (await self.vibespaces.GetVibespace(request)).vibespace.status
            if status.agents_running == status.agents:
                return
            await asyncio.sleep(0.02)

    async def execute(self, name: str, *command: str) -> float:
        """Run `command` in the agent called `name`, to a good end; when that was told, as perf_counter() has it."""

        async def requests() -> AsyncIterator[agents_pb2.ExecRequest]:
            yield agents_pb2.ExecRequest(start=agents_pb2.ExecStart(name=name, command=command))

        told = 0.0
        async for response in self.agents.Exec(requests()):
            assert response.WhichOneof("response") == "exit", response
            assert response.exit.code == 0, response
            told = perf_counter()
        return told

    async def agent_uid(self, name: str) -> str:
        return (await self.agents.GetAgent(agents_pb2.GetAgentRequest(name=name))).agent.uid

    async def delete(self, name: str) -> None:
        """Return when the vibespace is gone."""
        request = vibespaces_pb2.DeleteVibespaceRequest(name=f"vibespaces/{name}", request_id=str(uuid.uuid4()))
        await self._gone(request.name, request.name, (await self.vibespaces.DeleteVibespace(request)).cursor)

    async def delete_agent(self, name: str) -> None:
        """Return when the agent is gone."""
        request = agents_pb2.DeleteAgentRequest(name=name, request_id=str(uuid.uuid4()))
        after = (await self.agents.DeleteAgent(request)).cursor
        await self._gone(name, name.partition("/agents/")[0], after)

    async def _gone(self, name: str, vibespace: str, after: Cursor) -> None:
        async with asyncio.timeout(_GONE_SECONDS):
            async for response in self.events.Watch(events_pb2.WatchRequest(after=after, parent=vibespace)):
                if any(change.deleted == name for change in response.changes):
                    return


@asynccontextmanager
async def connected(home: Path) -> AsyncIterator[Daemon]:
    """The daemon that serves `home`."""
    async with grpc.aio.insecure_channel(f"unix:{home / 'daemon.sock'}") as channel:
        yield Daemon(home, channel)


@asynccontextmanager
async def daemon(
    engine: system_pb2.HostEngine = FAKE_ENGINE,
    image: str = "fake",
    *,
    module: str = "vibespace.daemon",
    config: str = "",
    **environment: str,
) -> AsyncIterator[Daemon]:
    """A daemon that was told its engine; it ends with the block, and its state directory goes."""
    with directory() as home:
        (home / "config.yaml").write_text(config)
        with server(module, home, **environment):
            async with connected(home) as found:
                await found.initialize(engine, image)
                yield found
