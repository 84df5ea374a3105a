"""`python -m tests.bench.scale [VIBESPACES]`: a daemon with many vibespaces of two agents each, on a cluster.

Made, listed, watched, left alone for a minute, stopped and deleted. The control plane is real, the nodes are hollow:
what is measured is what we ask of a cluster, and what a daemon needs to know it all.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from tests.bench import on_cluster, place, processes, report
from tests.bench.pairing import COUNT, Figure, Wanted, alone, failed
from tests.cluster.build import cache
from tests.cluster.cluster import Cluster
from tests.cluster.hollow import CLASS, hollow
from tests.cluster.running import running
from tests.clusters import Prepared, prepare
from tests.e2e.apirelay import ApiRelay
from vibespace.engine.cluster import Cluster as Place
from vibespace.engine.kubeapi import Api
from vibespace.v1 import agents_pb2, events_pb2, vibespaces_pb2
from vibespace.v1.system_pb2 import GetStatusRequest

STOPPED = vibespaces_pb2.VIBESPACE_STATE_STOPPED
VIBESPACES = 1000
NODES = 10
CALLERS = 32
"""Who ask the daemon at once."""
AT_REST_SECONDS = 10.0
"""After which all that follows a change is done."""
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Many:
    """A daemon, what it asks of its cluster, and how many vibespaces it is to have."""

    daemon: place.Daemon
    api: ApiRelay
    pid: int
    vibespaces: int

    @property
    def agents(self) -> int:
        return 2 * self.vibespaces

    async def step(self, what: str, work: Callable[[], Awaitable[None]], changes: int = 0) -> float:
        """Calls of the cluster that it took; what else it took is printed."""
        calls, begin, worked = self.api.total, perf_counter(), processes.seconds(self.pid)
        await work()
        calls = self.api.total - calls
        told = f"{calls / changes:.1f} calls a change" if changes else f"{calls} calls"
        took, worked = perf_counter() - begin, processes.seconds(self.pid) - worked
        memory = processes.resident(self.pid)
        print(f"{what:8} {took:7.1f} s  {told:18} {worked:6.1f} s of a processor, {memory:.0f} MB", file=sys.stderr)
        return calls

    async def all_do(self, ask: Callable[[int], Awaitable[object]]) -> None:
        """Ask that of each vibespace, by its number."""
        room = asyncio.Semaphore(CALLERS)

        async def one(number: int) -> None:
            async with room:
                await ask(number)

        await asyncio.gather(*map(one, range(self.vibespaces)))

    async def until(self, running: int) -> None:
        """So many agents run."""
        while (await self.daemon.system.GetStatus(GetStatusRequest())).agents_running != running:  # noqa: ASYNC110 (as `running`)
            await asyncio.sleep(0.2)

    async def listed(self) -> Sequence[vibespaces_pb2.Vibespace]:
        return (await self.daemon.vibespaces.ListVibespaces(vibespaces_pb2.ListVibespacesRequest())).vibespaces


async def measure(cluster: Cluster, vibespaces: int) -> list[Figure]:
    """The rows of it; what each step takes is printed besides."""
    place_there = Place(cluster.server, "scale", storage_class=CLASS)
    path = cache() / "node/scale.kubeconfig"
    await asyncio.to_thread(path.write_text, await prepare(cluster, place_there))
    prepared = Prepared(cluster, place_there.namespace, path, "localhost/hollow:1")
    admin = Api(cluster.admin)
    try:
        async with hollow(admin, NODES, vibespaces), _served(prepared, vibespaces) as many:
            return await _lives(many)
    finally:
        await admin.close()


@asynccontextmanager
async def _served(prepared: Prepared, vibespaces: int) -> AsyncIterator[Many]:
    """A daemon that goes to the cluster by a relay, which counts."""
    api = ApiRelay(prepared.cluster.server, str(prepared.cluster.at / "certificates/apiserver.crt"))
    try:
        async with on_cluster.serving(prepared, through=api.url) as daemon:
            pid = (await daemon.system.GetStatus(GetStatusRequest())).daemon.pid
            yield Many(daemon, api, pid, vibespaces)
    finally:
        await asyncio.to_thread(api.close)


async def _lives(many: Many) -> list[Figure]:
    async def create() -> None:
        await many.all_do(lambda number: _create(many.daemon, number))
        await many.until(many.agents)

    async def stop() -> None:
        await many.all_do(lambda number: _stop(many.daemon, number))
        while any(each.status.state != STOPPED for each in await many.listed()):  # noqa: ASYNC110 (as `running`)
            await asyncio.sleep(0.5)

    async def watch() -> None:
        async for response in many.daemon.events.Watch(events_pb2.WatchRequest()):
            if response.caught_up:
                return

    async def listed() -> None:
        assert len(await many.listed()) == many.vibespaces

    await many.step("create", create, many.agents)
    await asyncio.sleep(AT_REST_SECONDS)
    await many.step("list", listed)
    await many.step("watch", watch)
    idle = await many.step("idle", lambda: asyncio.sleep(IDLE_SECONDS))
    await many.step("stop", stop, many.agents)
    await many.step("delete", lambda: many.all_do(lambda number: many.daemon.delete(_name(number))), many.agents)
    assert await many.listed() == []
    return [alone(f"idle API requests a minute, {many.vibespaces} vibespaces", Wanted(9, unit=COUNT), idle)]


async def _create(daemon: place.Daemon, number: int) -> None:
    await daemon.create(_name(number))
    settings = agents_pb2.AgentSettings(type=agents_pb2.AGENT_TYPE_CODEX)
    parent, asked = f"vibespaces/{_name(number)}", str(uuid.uuid4())
    await daemon.agents.CreateAgent(agents_pb2.CreateAgentRequest(parent=parent, settings=settings, request_id=asked))


async def _stop(daemon: place.Daemon, number: int) -> None:
    asked = vibespaces_pb2.StopVibespaceRequest(name=f"vibespaces/{_name(number)}", request_id=str(uuid.uuid4()))
    await daemon.vibespaces.StopVibespace(asked)


def _name(number: int) -> str:
    return f"v{number}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("vibespaces", nargs="?", type=int, default=VIBESPACES)
    arguments = parser.parse_args()
    with running() as cluster:
        figures = asyncio.run(measure(cluster, arguments.vibespaces))
    print(report.text(figures))
    return int(failed(figures))


if __name__ == "__main__":
    sys.exit(main())
