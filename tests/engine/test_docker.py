"""The containers engine on a real Docker, root's and a user's: the suite."""

from __future__ import annotations

import pytest

from tests.contracts.containers import ClosedNetworkContract, ContainersContract, LimitsContract
from tests.contracts.engine import Factory, run, status, until, watching
from tests.engines import Served
from vibespace.engine.base import AgentSpec, Condition, Engine
from vibespace.errors import Unavailable

pytestmark = pytest.mark.containers


class TestDockerEngine(LimitsContract, ClosedNetworkContract, ContainersContract):
    """As root."""

    @pytest.fixture
    def served(self, docker: Served) -> Served:
        return docker


class TestRootlessDockerEngine(ContainersContract):
    """As an ordinary user."""

    @pytest.fixture
    def served(self, docker_rootless: Served) -> Served:
        return docker_rootless

    async def test_watch_after_the_engine_died(self, factory: Factory, engine: Engine, spec: AgentSpec) -> None:
        """A user's Docker takes its containers along when it dies: they are told to have ended, and made again."""
        await run(engine, spec, "echo own > /home/agent/file")
        async with watching(engine) as snapshots:
            await anext(snapshots)
            await factory.bounce()
            with pytest.raises(Unavailable) as lost:
                await until(snapshots, [spec], Condition.ABSENT)
        assert lost.value.reason == "ENGINE_UNREACHABLE"
        assert (await status(engine, spec, Condition.STOPPED)).reason != ""
        await engine.apply(spec)
        assert await run(engine, spec, "cat /home/agent/file") == "own"
