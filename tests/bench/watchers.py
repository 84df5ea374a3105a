"""From the commit of a change to the last of many watchers that sees it, over gRPC."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc

from tests.bench import place
from tests.bench.pairing import Figure, Wanted, alone, percentile
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.events_pb2 import StreamEventsRequest, WatchRequest
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.vibespaces_pb2 import StartVibespaceRequest, StopVibespaceRequest

if TYPE_CHECKING:
    from vibespace.v1.events_pb2_grpc import EventServiceAsyncStub

COMMITS = 200
WATCHERS = {10: Wanted(5, unit="ms"), 100: Wanted(30, unit="ms")}
STREAMS: dict[str, Callable[[EventServiceAsyncStub, Cursor], AsyncIterable[Any]]] = {
    "Watch": lambda stub, after: stub.Watch(WatchRequest(after=after)),
    "StreamEvents": lambda stub, after: stub.StreamEvents(StreamEventsRequest(after=after, follow=True)),
}


async def rows() -> list[Figure]:
    # An engine that shows nothing: each change is one commit, and none of the daemon's own follows it.
    async with place.daemon(module="tests.bench.noting", VIBESPACE_FAKE_FAULTS="watch:1:hang") as daemon:
        await daemon.create("demo")
        return [
            alone(f"commit → seen by {watchers}, {stream}, p99", wanted, await _milliseconds(daemon, stream, watchers))
            for watchers, wanted in WATCHERS.items()
            for stream in STREAMS
        ]


async def _milliseconds(daemon: place.Daemon, stream: str, watchers: int) -> float:
    """99 of 100 commits are seen by all the watchers within these."""
    seen = _Seen(watchers)
    cursor = (await _change(daemon, 0)).cursor
    async with _watching(daemon, stream, cursor, seen, watchers):
        gc.collect()
        positions = []
        for number in range(1, COMMITS + 1):
            position = (await _change(daemon, number)).cursor.position
            await seen.by_all(position)
            positions.append(position)
    lines = (daemon.state.home / "commits").read_text().splitlines()
    committed = {int(position): float(time) for position, time in map(str.split, lines)}
    return percentile([(seen.last[p] - committed[p]) * 1e3 for p in positions], 99)


class _Seen:
    """Who saw what: for each position, when its last watcher saw it."""

    def __init__(self, watchers: int) -> None:
        self._watchers = watchers
        self._by: dict[int, int] = {}
        self._all = asyncio.Event()
        self.last: dict[int, float] = {}

    def note(self, position: int) -> None:
        now = monotonic()
        self._by[position] = self._by.get(position, 0) + 1
        if self._by[position] == self._watchers:
            self.last[position] = now
            self._all.set()

    async def by_all(self, position: int) -> None:
        while position not in self.last:
            self._all.clear()
            await self._all.wait()


@asynccontextmanager
async def _watching(
    daemon: place.Daemon, stream: str, after: Cursor, seen: _Seen, watchers: int
) -> AsyncIterator[None]:
    """`watchers` programs follow: each has a connection of its own."""

    async def watch(stub: EventServiceAsyncStub) -> None:
        async for response in STREAMS[stream](stub, after):
            if response.HasField("cursor"):
                seen.note(response.cursor.position)

    async with AsyncExitStack() as stack:
        tasks = []
        for _ in range(watchers):
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.aio.insecure_channel(f"unix:{daemon.state.socket}", options=options)
            await stack.enter_async_context(channel)
            await channel.channel_ready()
            tasks.append(asyncio.create_task(watch(EventServiceStub(channel))))
        if stream == "Watch":
            await seen.by_all(after.position)  # each is told first that it has caught up
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _change(daemon: place.Daemon, number: int) -> Any:
    """One commit."""
    name, request_id = "vibespaces/demo", str(uuid.uuid4())
    if number % 2:
        return await daemon.vibespaces.StartVibespace(StartVibespaceRequest(name=name, request_id=request_id))
    return await daemon.vibespaces.StopVibespace(StopVibespaceRequest(name=name, request_id=request_id))
