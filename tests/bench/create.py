"""From an accepted `create` to the first command answered, against the same container made by the engine's own API."""

from __future__ import annotations

from itertools import count
from time import perf_counter

from tests.bench import engine, place
from tests.bench.pairing import Figure, Wanted, in_turns, paired

TURNS = 7
WANTED = Wanted(1.3)


async def rows() -> list[Figure]:
    names = (f"bench-{number}" for number in count())
    async with engine.shared() as found, engine.bare(found) as bare, place.daemon(found.host, found.image) as daemon:
        turns = await in_turns(lambda: _ours(daemon, next(names)), lambda: _floor(bare), TURNS)
    return [paired("create accepted → first exec answered", WANTED, turns, "ms")]


async def _ours(daemon: place.Daemon, name: str) -> float:
    await daemon.create(name)
    begin = perf_counter()
    told = await daemon.execute(f"vibespaces/{name}/agents/claude-1", "true")
    await daemon.delete(name)
    return (told - begin) * 1e3


async def _floor(bare: engine.Bare) -> float:
    begin = perf_counter()
    spec = await bare.make()
    public = spec.authorized_key  # the one pair of this container
    connection = await engine.ssh(await bare.port(spec.agent_uid), public, spec.host_key)
    await connection.run("true", check=True)
    took = perf_counter() - begin
    connection.close()
    await connection.wait_closed()
    await bare.remove(spec)
    return took * 1e3
