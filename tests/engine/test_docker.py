"""The containers engine on a real Docker, root's and a user's: the suite."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from tests.contracts.containers import ClosedNetworkContract, ContainersContract, ContainersFactory
from tests.contracts.factory import Factory, agent, run, status, until, watching
from tests.contracts.inside import knock
from tests.contracts.limits import AllLimitsContract
from tests.engines import Served
from tests.places import Apart, apart, entered
from vibespace.engine.base import AgentSpec, Condition, Engine
from vibespace.engine.containers import ContainersEngine
from vibespace.errors import Unavailable

pytestmark = pytest.mark.containers

OUTSIDE = "198.51.100.2"


class TestDockerEngine(AllLimitsContract, ClosedNetworkContract, ContainersContract):
    """As root."""

    @pytest.fixture
    def served(self, docker: Served) -> Served:
        return docker

    async def test_a_closed_network_leads_nowhere(
        self, factory: ContainersFactory, engine: ContainersEngine, apart_network: Apart
    ) -> None:
        """A server on another machine is reached from an open network, and not from a closed one."""
        closed, opened = replace(agent(factory), closed=True), agent(factory)
        await asyncio.gather(engine.apply(closed), engine.apply(opened))
        with apart() as outside:
            apart_network.run(*f"ip link add out type veth peer name out netns {outside.process}".split())
            for place, address in ((apart_network, "198.51.100.1"), (outside, OUTSIDE)):
                place.run(*f"ip address add {address}/24 dev out".split())
                place.run(*["ip", "link", "set", "out", "up"])
            with entered(outside):
                server = socket.create_server((OUTSIDE, 0))
            with server:
                port = server.getsockname()[1]
                assert await run(engine, opened, knock(OUTSIDE, port)) == "True"
                assert await run(engine, closed, knock(OUTSIDE, port)) == "False"


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
