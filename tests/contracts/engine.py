"""What every engine promises: a suite that each one's test inherits, with a factory of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import fields, replace

import pytest

from tests.contracts.agents import AgentContract
from tests.contracts.factory import Factory, InventoriedEngine, agent, run, status, uid, until, watching, whole
from vibespace.engine.base import AgentSpec, Condition, Engine, Resources, Target
from vibespace.errors import FailedPrecondition, NotFound, Unavailable


class EngineContract(AgentContract):
    """The whole suite, and what is true of an engine with all its agents. Subclasses provide the fixture `factory`."""

    async def test_leftovers_are_reported_by_owner(self, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """What no known uid accounts for is reported with its owner, what one does is not."""
        everything = await engine.leftovers(frozenset())
        assert sorted((left.kind, left.owner_uid) for left in everything) == sorted(
            [
                ("container", spec.agent_uid),
                ("network", spec.vibespace_uid),
                ("volume", spec.data_uid),
                ("volume", spec.data_uid),
            ]
        )
        known = frozenset({spec.agent_uid, spec.data_uid})
        assert [left.kind for left in await engine.leftovers(known)] == ["network"]

    async def test_another_log_is_left_alone(self, factory: Factory, engine: Engine, spec: AgentSpec) -> None:
        """Objects of another log are neither reported nor touched, and never adopted."""
        stranger = factory.open(uid())
        before = await status(engine, spec, Condition.RUNNING)
        assert await stranger.leftovers(frozenset()) == []
        assert (await status(stranger, spec, Condition.ABSENT)).started == ""
        with pytest.raises(FailedPrecondition) as refused:
            await stranger.apply(spec)
        assert refused.value.reason == "ENGINE_NAME_TAKEN"
        await delete_refused(stranger, whole(spec))
        await delete_refused(stranger, Target(spec.vibespace_uid, spec.data_uid, spec.agent_uid, spec.agent))
        assert await status(engine, spec, Condition.RUNNING) == before

    async def test_usage(self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """What runs uses memory and has processes, what does not run is not told of, and limits are known by name.

        An engine that can limit nothing has no control groups, and so nothing to measure by: it tells of nobody.
        """
        stopped = agent(factory, "two", like=spec)
        await status(engine, spec, Condition.RUNNING)
        used = await engine.usage([spec.agent_uid, stopped.agent_uid])
        if not await engine.enforced():
            assert used == {}
            return
        assert list(used) == [spec.agent_uid]
        told = used[spec.agent_uid]
        assert (told.memory_bytes or 0) > 1 << 20
        assert (told.processes or 0) >= 2
        assert (told.cpu_seconds or 0) > 0
        assert await engine.enforced() <= {field.name for field in fields(Resources)}

    async def test_disk(self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """What is stored in shared files and homes is told together, also at rest; of what is not there, nothing."""
        other = agent(factory, "two", like=spec)
        await engine.apply(other)
        before = (await engine.disk([spec.data_uid]))[spec.data_uid]
        await run(engine, spec, "head -c 2000000 /dev/zero > /vibespace/file")
        await run(engine, other, "head -c 3000000 /dev/zero > ~/file")
        for running in (True, False):
            await engine.apply(replace(spec, running=running))
            told = await engine.disk([spec.data_uid, uid()])
            assert list(told) == [spec.data_uid]
            assert 5_000_000 <= told[spec.data_uid] - before < 6_000_000

    async def test_images_are_looked_into(self, factory: Factory, engine: InventoriedEngine) -> None:
        """An image that agents run in lacks nothing, one that is not there is told, and a look leaves nothing."""
        assert list(await engine.examine(factory.image)) == []
        with pytest.raises(FailedPrecondition) as refused:
            await engine.examine("localhost/vibespace-absent:none")
        assert refused.value.reason == "IMAGE_NOT_FOUND"
        assert await engine.leftovers(frozenset()) == []

    async def test_identity(self, engine: Engine) -> None:
        """The engine says what it is, twice the same."""
        first = await engine.identity()
        assert await engine.identity() == first
        assert first.brand
        assert first.version

    async def test_many_at_once(self, factory: Factory, engine: InventoriedEngine) -> None:
        """Applies of several agents and vibespaces, each twice, run at once and all come up."""
        first = agent(factory)
        specs = [first, *(agent(factory, f"more-{n}", like=first) for n in range(3)), agent(factory), agent(factory)]
        await asyncio.gather(*(engine.apply(spec) for spec in specs * 2))
        await asyncio.gather(*(status(engine, spec, Condition.RUNNING) for spec in specs))
        assert await asyncio.gather(*(run(engine, spec, "echo up") for spec in specs)) == ["up"] * len(specs)
        kinds = [left.kind for left in await engine.leftovers(frozenset())]
        assert (kinds.count("container"), kinds.count("network")) == (6, 3)

    async def test_logs(self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec) -> None:
        """What the main process wrote is kept, from a moment on; followed, it ends with the container."""
        await run(engine, spec, "true")  # its sshd has come up, and said so
        kept = [piece async for piece in engine.logs(spec.agent_uid, follow=False, since=0)]
        assert b"Server listening on " in b"".join(piece.data for piece in kept if piece.stderr)
        later = time.time() + 3600
        assert [piece async for piece in engine.logs(spec.agent_uid, follow=False, since=later)] == []
        following = engine.logs(spec.agent_uid, follow=True, since=0)
        assert await anext(following)
        await engine.apply(replace(spec, running=False))
        async with asyncio.timeout(30):
            assert [piece async for piece in following if not piece.stderr] == []
        with pytest.raises(NotFound) as refused:
            await anext(engine.logs(spec.agent_uid, follow=False, since=0))
        assert refused.value.reason == "CONTAINER_NOT_FOUND"

    async def test_logs_end_with_a_container_that_ends_by_itself(
        self, factory: Factory, engine: InventoriedEngine, spec: AgentSpec
    ) -> None:
        """Who follows is told the same as who asks afterwards, to the end, and waits no longer."""
        await run(engine, spec, "true")
        following = engine.logs(spec.agent_uid, follow=True, since=0)
        told = (await anext(following)).data
        await factory.end_by_itself(spec.agent_uid)
        async with asyncio.timeout(30):
            told += b"".join([piece.data async for piece in following])
        kept = [piece.data async for piece in engine.logs(spec.agent_uid, follow=False, since=0)]
        assert told == b"".join(kept)

    async def test_watch_is_complete_and_follows(self, factory: Factory, engine: Engine, spec: AgentSpec) -> None:
        """A watch begins with all there is, then tells of what comes and goes."""
        await status(engine, spec, Condition.RUNNING)
        second = agent(factory, "two", like=spec)
        async with watching(engine) as snapshots:
            first = await anext(snapshots)
            assert [found.agent_uid for found in first.statuses] == [spec.agent_uid]
            await engine.apply(second)
            await until(snapshots, [second], Condition.RUNNING)
            await engine.apply(replace(second, running=False))
            await until(snapshots, [second], Condition.ABSENT)

    async def test_watch_after_the_engine_died(self, factory: Factory, engine: Engine, spec: AgentSpec) -> None:
        """When the engine dies a watch raises Unavailable; the next one is complete, and the container went on."""
        before = await status(engine, spec, Condition.RUNNING)
        async with watching(engine) as snapshots:
            await anext(snapshots)
            await factory.bounce()
            with pytest.raises(Unavailable) as lost:
                await until(snapshots, [spec], Condition.ABSENT)
        assert lost.value.reason == "ENGINE_UNREACHABLE"
        assert await status(engine, spec, Condition.RUNNING) == before
        assert await run(engine, spec, "echo still here") == "still here"


async def delete_refused(engine: Engine, target: Target) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await engine.delete(target, keep_data=False)
    assert refused.value.reason == "ENGINE_NAME_TAKEN"
