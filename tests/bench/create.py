"""From an accepted `create` to the first command answered, against the same container made by the engine's own API:
of one vibespace, and of many that are asked for at the same moment.
"""

from __future__ import annotations

import asyncio
from itertools import count, islice
from time import perf_counter

from tests.bench import engine, place
from tests.bench.pairing import Figure, Wanted, in_turns, paired
from vibespace.engine.base import AgentSpec

ONE, CROWD = 7, 3
"""Turns of either row."""
AT_ONCE = 20


async def rows() -> list[Figure]:
    names = (f"bench-{number}" for number in count())
    async with engine.shared() as found, engine.bare(found) as bare, place.daemon(found.host, found.image) as daemon:
        one = await in_turns(lambda: _ours(daemon, next(names)), lambda: _floor(bare, 1), ONE)
        crowd = await in_turns(
            lambda: _our_crowd(daemon, list(islice(names, AT_ONCE))), lambda: _floor(bare, AT_ONCE), CROWD
        )
    return [
        paired("create accepted → first exec answered", Wanted(1.3), one, "ms"),
        paired(f"{AT_ONCE} creates at once → all answer exec", Wanted(1.5), crowd, "ms"),
    ]


async def _ours(daemon: place.Daemon, name: str) -> float:
    await daemon.create(name)
    begin = perf_counter()
    told = await daemon.execute(_agent(name), "true")
    await daemon.delete(name)
    return (told - begin) * 1e3


async def _our_crowd(daemon: place.Daemon, names: list[str]) -> float:
    async def answering(name: str) -> float:
        await daemon.create(name)
        return await daemon.execute(_agent(name), "true")

    begin = perf_counter()
    told = await asyncio.gather(*map(answering, names))
    await asyncio.gather(*map(daemon.delete, names))
    return (max(told) - begin) * 1e3


async def _floor(bare: engine.Bare, containers: int) -> float:
    """Milliseconds until the last of so many has answered its first command."""
    begin = perf_counter()
    made = await asyncio.gather(*(_answering(bare) for _ in range(containers)))
    took = max(told for _, told in made) - begin
    await asyncio.gather(*(bare.remove(spec) for spec, _ in made))
    return took * 1e3


async def _answering(bare: engine.Bare) -> tuple[AgentSpec, float]:
    """A new container, and when it had answered."""
    spec = await bare.make()
    key = spec.authorized_key  # the one pair of this container
    async with await engine.ssh(await bare.port(spec.agent_uid), key, spec.host_key) as connection:
        await connection.run("true", check=True)
        told = perf_counter()
    return spec, told


def _agent(name: str) -> str:
    return f"vibespaces/{name}/agents/claude-1"
