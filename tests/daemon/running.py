"""A daemon in this process, over a real Unix socket, on the fake engine, whose containers outlive it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import grpc
import pytest

from tests.app.house import House
from vibespace.app.feed import Feed
from vibespace.daemon import __main__ as composition
from vibespace.domain import agents as observed
from vibespace.domain.host import Host
from vibespace.domain.states import is_current, should_run
from vibespace.domain.vibespaces import PENDING
from vibespace.domain.worktrees import is_missing
from vibespace.engine import bodies
from vibespace.engine.base import FAKE
from vibespace.engine.fake import FakeEngine, Fault
from vibespace.engine.fake_world import World
from vibespace.errgrpc import from_call
from vibespace.errors import Error
from vibespace.launch import ensure_home
from vibespace.state import State
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.agents_pb2_grpc import AgentServiceStub
from vibespace.v1.credentials_pb2_grpc import CredentialServiceStub
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2 import HostEngine, InitializeRequest, RestRequest
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

IMAGE = "an-image"
CLAUDE = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE)
DEMO = "vibespaces/demo"
PRIMARY = f"{DEMO}/agents/claude-1"
CONTEXT: Any = None
"""What gRPC hands to a method; those that tests call without gRPC do not look at it."""
M = TypeVar("M")


def create(name: str = "demo", **more: Any) -> v.CreateVibespaceRequest:
    fields: dict[str, Any] = {"vibespace_id": name, "agent": CLAUDE} | more
    return v.CreateVibespaceRequest(**fields)


async def initialize(channel: grpc.aio.Channel, image: str = IMAGE, **engine: Any) -> None:
    """What `vibespace init` tells the daemon in the end; `engine` for what is not usual of it."""
    chosen = HostEngine(**{"brand": FAKE, "version": "1", "address": "memory"} | engine)
    await SystemServiceStub(channel).Initialize(InitializeRequest(engine=chosen, image=image))


class Running:
    """One daemon on `home`, and stubs to it."""

    def __init__(self, daemon: composition.Daemon, task: asyncio.Task[None], channel: grpc.aio.Channel) -> None:
        self.daemon = daemon
        self.task = task
        self.channel = channel
        self.agents = AgentServiceStub(channel)
        self.credentials = CredentialServiceStub(channel)
        self.events = EventServiceStub(channel)
        self.system = SystemServiceStub(channel)
        self.vibespaces = VibespaceServiceStub(channel)

    @property
    def feed(self) -> Feed:
        return self.daemon._feed

    async def init(self) -> None:
        """See `initialize`."""
        await initialize(self.channel)

    async def rest(self) -> None:
        """Everything stops, and the daemon ends."""
        await self.system.Rest(RestRequest())
        await asyncio.wait({self.task})

    async def until(self, holds: Callable[[Feed], object]) -> None:
        """Return as soon as `holds` of the daemon's feed. One that never comes true is a failure, not a hang."""
        async with asyncio.timeout(60):
            while not holds(self.feed):
                await self.feed.news()


@asynccontextmanager
async def serving(home: Path, world: World | None = None, faults: Iterable[Fault] = ()) -> AsyncIterator[Running]:
    """Serve `home` until the block ends, as by SIGTERM; with `world`, containers are kept there."""
    ensure_home(home)
    with pytest.MonkeyPatch.context() as patch:
        if world is not None:
            patch.setattr(composition, "open_engine", opener(world, faults))
        daemon = composition.Daemon(State(home))
        ready, tell = os.pipe()
        task = asyncio.create_task(daemon.run(tell))
        try:
            heard = asyncio.create_task(asyncio.to_thread(os.read, ready, 6))
            await asyncio.wait({task, heard}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                os.close(tell)
            assert await heard == b"ready\n", task.exception()
            async with grpc.aio.insecure_channel(f"unix:{quote(str(State(home).socket))}") as channel:
                yield Running(daemon, task, channel)
            daemon._stop.set()
        except BaseException:
            task.cancel()
            raise
        finally:
            os.close(ready)
            await asyncio.wait({task})
        await task


Opener = Callable[[Host, State, Mapping[str, str]], Awaitable[FakeEngine]]


def opener(world: World, faults: Iterable[Fault] = ()) -> Opener:
    """In place of engines.open_engine: always the fake engine on `world`."""

    async def open_engine(host: Host, _state: State, _environ: Mapping[str, str]) -> FakeEngine:
        return FakeEngine(host.uid, world, faults=faults)

    return open_engine


def quiet(feed: Feed) -> bool:
    """Nothing is left to do: all that was asked for is so, and is recorded."""
    state = feed.state
    if not feed.engine_seen or state.host is None or not state.host.reachable:
        return False
    for agent in state.agents():
        vibespace = state.vibespace_of(agent)
        wanted = observed.RUNNING if should_run(agent, vibespace, state.host) else observed.STOPPED
        if agent.deleting or agent.observed != wanted or not is_current(agent, vibespace):
            return False
        if wanted == observed.RUNNING and (is_missing(agent, vibespace) or vibespace.left):
            return False
    return not any(
        vibespace.deleting or (vibespace.repository == PENDING and not vibespace.waits_for_upload)
        for vibespace in state.vibespaces.values()
    )


async def refused(call: Awaitable[object]) -> Error:
    """The error that `call` ends with, as it was raised in the daemon."""
    with pytest.raises(grpc.aio.AioRpcError) as e:
        await call
    return error_of(e.value)


def error_of(failed: grpc.aio.AioRpcError) -> Error:
    """The error that a call ended with, as it was raised in the daemon."""
    return from_call(cast(grpc.Call, failed))  # the asynchronous one has the same methods


async def whole(call: grpc.aio.UnaryStreamCall[Any, M] | grpc.aio.StreamStreamCall[Any, M]) -> list[M]:
    """All that a Watch or a history holds up to the present."""
    got = []
    async for response in call:
        got.append(response)
        if getattr(response, "caught_up", False):
            break
    call.cancel()
    return got


def container(agent_uid: str) -> str:
    """What an agent's container is called in a World."""
    return bodies.container_name(agent_uid)


def here(house: House) -> Cursor:
    """The cursor of all that a House holds by now."""
    return Cursor(log_id=house.feed.log_id, position=house.feed.state.position)
