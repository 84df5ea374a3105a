"""What it costs when nobody asks for anything: memory of an agent's container and of the daemon, and processor time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tests.bench import engine, place, processes
from tests.bench.pairing import Figure, Wanted, alone
from vibespace.engine import bodies
from vibespace.v1.system_pb2 import GetStatusRequest

AGENTS, CONTAINERS = 100, 10
WINDOW = 30.0
"""Seconds that are watched: three keep-alives of every kept connection, and one look of the engine's observer."""
AT_REST = 6.0
"""Seconds after which all that follows a change is done: the reconciler's second look is the last of it."""
CPU = Wanted(1, unit="%")


async def rows() -> list[Figure]:
    async with engine.shared() as found, engine.bare(found) as bare, place.daemon(found.host, found.image) as daemon:
        contained = await _contained(daemon, bare)
    async with place.daemon() as daemon:
        pid = await _pid(daemon)
        await _create(daemon, AGENTS)
        await _reach(daemon, AGENTS)

        async def worked() -> float:
            return processes.seconds(pid)  # the fake's sshds are in it: both ends of each connection

        share = await _share(worked)
    return [*contained, alone(f"idle CPU of the daemon, {AGENTS} agents", CPU, share)]


async def _contained(daemon: place.Daemon, bare: engine.Bare) -> list[Figure]:
    pid = await _pid(daemon)
    await asyncio.sleep(AT_REST)
    resident = processes.resident(pid)
    try:
        uids = await _create(daemon, CONTAINERS)
        memory = [await _memory(bare, uid) for uid in uids]
        await _reach(daemon, CONTAINERS)

        async def worked() -> float:
            return processes.seconds(pid) + sum([await _worked(bare, uid) for uid in uids])

        share = await _share(worked)
    finally:
        await asyncio.gather(*(daemon.delete(f"v{number}") for number in range(CONTAINERS)))
    return [
        alone("idle container, page cache apart", Wanted(5, unit="MB"), median(memory)),
        alone("idle daemon", Wanted(80, unit="MB"), resident),
        alone(f"idle CPU of the daemon and {CONTAINERS} containers", CPU, share),
    ]


async def _pid(daemon: place.Daemon) -> int:
    return (await daemon.system.GetStatus(GetStatusRequest())).daemon.pid


async def _create(daemon: place.Daemon, vibespaces: int) -> list[str]:
    """So many, running; the uids of their agents."""
    names = [f"v{number}" for number in range(vibespaces)]
    await asyncio.gather(*map(daemon.create, names))
    await asyncio.gather(*map(daemon.running, names))
    return [await daemon.agent_uid(_agent(number)) for number in range(vibespaces)]


async def _reach(daemon: place.Daemon, vibespaces: int) -> None:
    """Each has answered a command: from then on a connection to it is kept."""
    for number in range(vibespaces):
        await daemon.execute(_agent(number), "true")


async def _share(worked: Callable[[], Awaitable[float]]) -> float:
    """Percent of one processor over the window."""
    await asyncio.sleep(AT_REST)
    before, begin = await worked(), perf_counter()
    await asyncio.sleep(WINDOW)
    return (await worked() - before) / (perf_counter() - begin) * 100


async def _memory(bare: engine.Bare, agent_uid: str) -> float:
    """Megabytes of a container, kernel's included, as its engine counts them, but for the page cache.

    The cache is what has been read of the image: it goes when somebody else needs the memory. Podman's own figure has
    it in, and does not say how much it is.
    """
    stats = await _stats(bare, agent_uid)
    inspected = await bare.call("GET", f"/containers/{bodies.container_name(agent_uid)}/json")
    return (int(stats["memory_stats"]["usage"]) - _page_cache(inspected["State"]["Pid"])) / 1e6


async def _worked(bare: engine.Bare, agent_uid: str) -> float:
    """Seconds."""
    return int((await _stats(bare, agent_uid))["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


async def _stats(bare: engine.Bare, agent_uid: str) -> dict[str, Any]:
    path, once = f"/containers/{bodies.container_name(agent_uid)}/stats", {"stream": "false", "one-shot": "true"}
    found: dict[str, Any] = await bare.call("GET", path, params=once)
    return found


def _page_cache(pid: int) -> int:
    """Of the control group of `pid`: `file` where all controllers share one tree, `cache` where memory has its own."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        stat = Path("/sys/fs/cgroup", controllers, path.lstrip("/"), "memory.stat")
        if controllers in ("", "memory") and stat.exists():
            found = dict(map(str.split, stat.read_text().splitlines()))
            return int(found["file" if "file" in found else "cache"])
    raise LookupError(f"the memory of {pid} is not counted")


def _agent(number: int) -> str:
    return f"vibespaces/v{number}/agents/claude-1"
