"""The containers engine on a real Podman, root's and a user's: the suite, and what only Podman does."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests import engines
from tests.contracts.containers import ClosedNetworkContract, ContainersContract, ContainersFactory
from tests.contracts.factory import agent, run, status, watching
from tests.contracts.limits import AllLimitsContract
from tests.engines import Served
from tests.places import Place
from tests.podman import cache
from vibespace.engine.base import AgentSpec, Condition
from vibespace.engine.containers import ContainersEngine
from vibespace.errors import Aborted
from vibespace.setup import podman

pytestmark = pytest.mark.containers


class TestPodmanEngine(AllLimitsContract, ClosedNetworkContract, ContainersContract):
    """As root."""

    @pytest.fixture
    def served(self, podman_socket: str) -> Served:
        return engines.Podman(cache() / "podman", Place())

    async def test_a_closed_network_leads_nowhere(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """Its containers have no default route. Docker's have, and its firewall drops what takes it."""
        spec = replace(agent(factory), closed=True)
        await engine.apply(spec)
        assert await run(engine, spec, "ip route show default") == ""

    @pytest.mark.parametrize("taken", [2, 3])
    async def test_a_port_that_others_took(
        self, monkeypatch: pytest.MonkeyPatch, factory: ContainersFactory, engine: ContainersEngine, taken: int
    ) -> None:
        """Podman picks it when it makes a container; one that is taken before the start is made with another, twice."""
        spec, put = agent(factory), engine._api.put
        with ExitStack() as others:

            async def put_once_taken(archive: str, tar: bytes, /, *, path: str) -> None:
                made = await factory.call("get", archive.replace("/archive", "/json"))
                [[binding]] = made["HostConfig"]["PortBindings"].values()
                if path == "/" and len(listening) < taken:
                    address = "127.0.0.1", int(binding["HostPort"])
                    listening.append(others.enter_context(socket.create_server(address)))
                await put(archive, tar, path=path)

            listening: list[socket.socket] = []
            monkeypatch.setattr(engine._api, "put", put_once_taken)
            if taken == 2:
                await engine.apply(spec)
                assert await run(engine, spec, "echo up") == "up"
            else:
                with pytest.raises(Aborted, match=r"No port is free: .*address already in use"):
                    await engine.apply(spec)
                assert not any(left.kind == "container" for left in await engine.leftovers(frozenset()))

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
