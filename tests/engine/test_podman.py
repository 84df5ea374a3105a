"""The containers engine on a real Podman, root's and a user's: the suite, and what only Podman does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests import engines
from tests.contracts.containers import ClosedNetworkContract, ContainersContract, ContainersFactory
from tests.contracts.factory import agent, run, status, watching
from tests.contracts.limits import LimitsContract
from tests.engines import Served
from tests.places import Place
from tests.podman import cache
from vibespace.engine.base import AgentSpec, Condition
from vibespace.engine.containers import ContainersEngine
from vibespace.setup import podman

pytestmark = pytest.mark.containers


class TestPodmanEngine(LimitsContract, ClosedNetworkContract, ContainersContract):
    """As root."""

    @pytest.fixture
    def served(self, podman_socket: str) -> Served:
        return engines.Podman(cache() / "podman", Place())

    async def test_a_closed_network_leads_nowhere(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """Its containers have no default route. Docker's have, and its firewall drops what takes it."""
        spec = replace(agent(factory), closed=True)
        await engine.apply(spec)
        assert await run(engine, spec, "ip route show default") == ""

    async def test_what_a_bare_image_lacks(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """A bare Debian, which is where the agents' image is built, lacks what that adds; looking leaves nothing."""
        bases = await factory.call("get", "/images/json", filters={"reference": ["localhost/vibespace-base"]})
        lacks = await engine.examine(bases[0]["Id"])
        for missing in ("a user agent", "sshd", "git", "claude", "entry", "bash.bashrc", "/vibespace", "/home/agent"):
            assert any(missing in each for each in lacks), missing
        assert not any("GNU C library" in each or each == "/bin/bash" for each in lacks)
        assert await engine.leftovers(frozenset()) == []

    async def test_revive_before_watch(
        self, factory: ContainersFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """A watch starts the engine first when it was given the means, so that a dead Podman comes back by itself."""

        async def revive() -> None:
            await asyncio.to_thread(podman.ensure, cache() / "podman")

        await status(engine, spec, Condition.RUNNING)
        await asyncio.to_thread(podman.stop, cache() / "podman")
        reviving = ContainersEngine(factory.socket, next(iter(factory.logs)), revive=revive)
        async with watching(reviving) as snapshots:
            assert [found.agent_uid for found in (await anext(snapshots)).statuses] == [spec.agent_uid]
        await reviving.close()


class TestRootlessPodmanEngine(ContainersContract):
    """As an ordinary user."""

    @pytest.fixture
    def served(self, podman_rootless: Served) -> Served:
        return podman_rootless
