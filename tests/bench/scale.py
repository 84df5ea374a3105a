"""`python -m tests.bench.scale [VIBESPACES]`: many vibespaces of two agents each, on a real control plane.

Made, watched, left alone for a minute, stopped and deleted by one engine, whose calls and memory are counted. The
nodes are hollow: what is measured is what we ask of a cluster, and what a daemon needs to know it all.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from time import perf_counter, process_time

from tests.cluster.build import cache
from tests.cluster.cluster import Cluster
from tests.cluster.hollow import CLASS, hollow
from tests.cluster.running import running
from tests.clusters import _prepare
from tests.contracts.factory import uid
from vibespace.engine.base import AgentSpec, Condition, Target
from vibespace.engine.cluster import Cluster as Place
from vibespace.engine.kubeapi import Api
from vibespace.engine.kubernetes import KubernetesEngine

AT_ONCE = 8
"""As reconcile/loop.py asks an engine."""
IDLE_SECONDS = 60
NODES = 10


@dataclass
class Measured:
    """One step."""

    what: str
    changes: int
    seconds: float
    calls: int
    cpu: float

    def __str__(self) -> str:
        per = f"{self.calls / self.changes:.1f} calls each" if self.changes else f"{self.calls} calls"
        return f"{self.what:12} {self.seconds:8.1f} s  {per:16} {self.cpu:6.1f} s of our own processor time"


async def measure(cluster: Cluster, vibespaces: int) -> None:
    place = Place(cluster.server, "scale", storage_class=CLASS)
    path = cache() / "node/scale.kubeconfig"
    await asyncio.to_thread(path.write_text, await _prepare(cluster, place))
    admin = Api(cluster.admin)
    engine = KubernetesEngine(path, uid())
    specs = [spec for number in range(vibespaces) for spec in _pair(number)]
    async with hollow(admin, NODES, vibespaces):
        seen = Seen()
        watching = asyncio.create_task(seen.follow(engine))
        await step(engine, "create", specs, engine.apply)
        await seen.until(lambda: seen.conditions.count(Condition.RUNNING) == len(specs))
        print(f"all {len(specs)} seen to run; {_memory()} MB at most", flush=True)
        await step(engine, "idle", [], engine.apply, seconds=IDLE_SECONDS)
        await step(engine, "stop", specs, lambda spec: engine.apply(replace(spec, running=False)))
        await step(engine, "start", specs[:100], engine.apply)
        await step(engine, "stop", specs[:100], lambda spec: engine.apply(replace(spec, running=False)))
        await step(engine, "delete", specs, lambda spec: engine.delete(_agent(spec), keep_data=True))
        await step(engine, "with data", specs[::2], lambda spec: engine.delete(_whole(spec), keep_data=False))
        assert await engine.leftovers(frozenset()) == []
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    print(f"{_memory()} MB at most", flush=True)
    await engine.close()
    await admin.close()


class Seen:
    """What a watch tells."""

    def __init__(self) -> None:
        self.conditions: list[Condition] = []
        self._news = asyncio.Event()

    async def follow(self, engine: KubernetesEngine) -> None:
        async for snapshot in engine.watch():
            self.conditions = [status.condition for status in snapshot.statuses]
            self._news.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._news.clear()
            await self._news.wait()


async def step(
    engine: KubernetesEngine,
    what: str,
    specs: Iterable[AgentSpec],
    change: Callable[[AgentSpec], Awaitable[None]],
    seconds: float = 0,
) -> None:
    room, changes = asyncio.Semaphore(AT_ONCE), 0

    async def one(spec: AgentSpec) -> None:
        nonlocal changes
        async with room:
            await change(spec)
            changes += 1

    calls, begin, cpu = engine._api.calls, perf_counter(), process_time()
    await asyncio.gather(*map(one, specs))
    await asyncio.sleep(seconds)
    print(Measured(what, changes, perf_counter() - begin, engine._api.calls - calls, process_time() - cpu), flush=True)


def _pair(number: int) -> list[AgentSpec]:
    first = AgentSpec(
        uid(), "one", uid(), f"v-{number}", uid(), "localhost/hollow:1", host_key=b"x", authorized_key="x"
    )
    return [first, replace(first, agent_uid=uid(), agent="two")]


def _agent(spec: AgentSpec) -> Target:
    return Target(spec.vibespace_uid, spec.data_uid, spec.agent_uid, spec.agent)


def _whole(spec: AgentSpec) -> Target:
    return Target(spec.vibespace_uid, spec.data_uid)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("vibespaces", nargs="?", type=int, default=1000)
    arguments = parser.parse_args()
    with running() as cluster:
        asyncio.run(measure(cluster, arguments.vibespaces))
    return 0


if __name__ == "__main__":
    sys.exit(main())
