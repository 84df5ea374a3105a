"""What every engine of containers promises beyond the suite, proved by real ones."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.cut import cut
from tests.contracts.factory import agent, run, shown, status, uid
from tests.contracts.inside import InsideContract, address, knock, this_machine
from tests.engines import Podman, Served
from tests.places import entered
from tests.podman import purge
from vibespace.engine import bodies, examination
from vibespace.engine.api import Api
from vibespace.engine.base import AgentSpec, Condition, HostMount, Resources
from vibespace.engine.containers import ContainersEngine
from vibespace.errors import NotFound
from vibespace.setup import firewall
from vibespace.setup.context import pieces


class ContainersFactory:
    """`contracts.factory.Factory` for one real engine."""

    def __init__(self, served: Served, image: str) -> None:
        self.socket = served.socket
        self.image = image
        self.served = served
        self.opened: list[ContainersEngine] = []
        self.logs: set[str] = set()

    def open(self, log_id: str) -> ContainersEngine:
        self.logs.add(log_id)
        guard = partial(asyncio.to_thread, self.served.guard)
        self.opened.append(ContainersEngine(self.socket, log_id, guard=guard))
        return self.opened[-1]

    async def remove_by_hand(self, agent_uid: str) -> None:
        await self.call("delete", f"/containers/{bodies.container_name(agent_uid)}", force=True)

    async def end_by_itself(self, agent_uid: str) -> None:
        path = f"/containers/{bodies.container_name(agent_uid)}"
        if isinstance(self.served, Podman):  # which hears of it only afterwards; Docker may number processes otherwise
            os.kill((await self.call("get", f"{path}/json"))["State"]["Pid"], signal.SIGKILL)
        else:
            await self.call("post", f"{path}/kill")

    async def bounce(self) -> None:
        await asyncio.to_thread(self.served.kill)
        await asyncio.to_thread(self.served.serve)

    async def call(self, method: str, path: str, *body: object, **query: Any) -> Any:
        """What somebody else at the engine's socket would do."""
        api = Api(self.socket)
        try:
            return await getattr(api, method)(path, *body, **query)
        finally:
            await api.close()

    async def load(self, name: str, tar: AsyncIterator[bytes]) -> None:
        """Make an image of the files in `tar`."""
        api = Api(self.socket)
        try:
            async for _ in api.stream("POST", "/images/create", tar=tar, fromSrc="-", repo=name):
                pass  # progress; a failure raises
        finally:
            await api.close()

    async def close(self) -> None:
        await asyncio.gather(*(engine.close() for engine in self.opened))
        await asyncio.gather(*(purge(self.socket, log_id) for log_id in self.logs))


class ContainersContract(InsideContract):
    """The suite, and what is true of containers only. Subclasses provide the fixture `served`."""

    @pytest.fixture
    async def factory(self, served: Served, agent_image: str) -> AsyncIterator[ContainersFactory]:
        with entered(served.place):
            factory = ContainersFactory(served, agent_image)
            yield factory
            await factory.close()

    @pytest.fixture
    def tmp_path(self, served: Served, tmp_path: Path) -> Iterator[Path]:
        """A directory that the engine's user can reach too: pytest's own ones are closed to others."""
        if served.place.home is None:
            yield tmp_path
            return
        with tempfile.TemporaryDirectory(dir=served.place.home) as made:
            Path(made).chmod(0o755)
            yield Path(made)

    async def test_a_user_namespace_leads_nowhere(
        self, factory: ContainersFactory, engine: ContainersEngine, tmp_path: Path
    ) -> None:
        """Docker refuses to make one. In one on Podman there are all capabilities, which end at it: what is mounted is
        seen in it only, what is mounted to read stays so, and no raw socket opens on the vibespace's network.
        """
        mount = HostMount(str(shown(tmp_path / "data", "hello")), "/mnt", read_only=True)
        spec = replace(agent(factory), mounts=(mount,))
        await engine.apply(spec)
        if (await run(engine, spec, "unshare -r id -u 2>/dev/null || echo refused")) == "refused":
            return
        assert isinstance(factory.served, Podman)
        over = "unshare -rm sh -c 'mount -t tmpfs none /vibespace && ! test -e /vibespace/file' && cat /vibespace/file"
        assert await run(engine, spec, f"echo kept > /vibespace/file; {over}") == "kept"
        again = "unshare -rm sh -c 'mount -o remount,bind,rw /mnt; umount /mnt; echo x > /mnt/file'"
        assert "Read-only file system" in await run(engine, spec, f"{again} 2>&1 || true")
        raw = "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"
        assert "not permitted" in await run(engine, spec, f"unshare -r python3 -c '{raw}' 2>&1 || true")

    async def test_sudo_is_root_inside_and_no_more(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """With sudo the user is uid 1000 without capabilities until he asks, then root who may install and not more."""
        spec = replace(agent(factory), sudo=True)
        await engine.apply(spec)
        assert await run(engine, spec, "id -u; grep CapEff /proc/self/status") == "1000\nCapEff:\t0000000000000000"
        script = "id -u; touch /usr/installed && chown 1000 /usr/installed && stat -c %u /usr/installed"
        assert await run(engine, spec, f"sudo sh -c '{script}'") == "0\n1000"
        forbidden = "mount -t tmpfs x /mnt || mknod /tmp/sda b 8 0 || date -s 2001-01-01 || echo none"
        assert (await run(engine, spec, f"sudo sh -c '{forbidden}' 2>/dev/null")).splitlines()[-1] == "none"

    async def test_read_only_mounts(self, factory: ContainersFactory, engine: ContainersEngine, tmp_path: Path) -> None:
        """What is mounted to read cannot be written, by root inside neither."""
        mount = HostMount(str(shown(tmp_path / "the data", "hello")), "/mnt/data", read_only=True)
        spec = replace(agent(factory), mounts=(mount,), sudo=True)
        await engine.apply(spec)
        assert await run(engine, spec, "cat /mnt/data/file") == "hello"
        for who in ("", "sudo "):
            told = await run(engine, spec, f"{who}sh -c 'echo x > /mnt/data/file' 2>&1 || true")
            assert "Read-only file system" in told

    async def test_an_empty_image_has_no_shell(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """An image in which nothing can be started lacks a shell, and looking leaves nothing."""
        empty = io.BytesIO()
        with tarfile.open(fileobj=empty, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("file"))
        name = f"localhost/vibespace-test-{uid()}"
        await factory.load(name, pieces(io.BytesIO(empty.getvalue()[: tar.offset])))
        try:
            assert list(await engine.examine(name)) == [examination.NO_SHELL]
        finally:
            await factory.call("delete", f"/images/{name}")
        assert await engine.leftovers(frozenset()) == []

    async def test_a_renamed_container_is_still_ours(
        self, factory: ContainersFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """A container that somebody gave another name is stopped and taken away all the same."""
        await engine.apply(spec)
        name = f"other-{spec.agent_uid}"
        await factory.call("post", f"/containers/{bodies.container_name(spec.agent_uid)}/rename", name=name)
        await engine.apply(replace(spec, running=False))
        with pytest.raises(NotFound):
            await factory.call("get", f"/containers/{name}/json")

    async def test_volumes_belong_to_the_user(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """/vibespace and the home are uid 1000's, and writable."""
        assert await run(engine, spec, "stat -c %u:%g /vibespace /home/agent") == "1000:1000\n1000:1000"
        await run(engine, spec, "touch /vibespace/x /home/agent/x")

    async def test_ssh_files_are_read_only(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """Host key and authorized keys are root's, readable for the user's group, and he cannot change them."""
        files = "/etc/vibespace/ssh/host_key /etc/vibespace/ssh/authorized_keys /etc/vibespace/environment"
        assert (await run(engine, spec, f"stat -c '%u:%g %a' {files}")).split("\n") == ["0:1000 440"] * 3
        assert await run(engine, spec, f"for f in {files}; do test -w $f && echo writable; done; true") == ""

    async def test_all_processors_that_there_are(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """A limit of as many as the engine tells is taken, and containers see as many."""
        there = await engine.processors()
        spec = replace(agent(factory), resources=Resources(cpu_limit_millis=there * 1000))
        await engine.apply(spec)
        assert await run(engine, spec, "nproc") == str(there)

    async def test_sshd_is_on_loopback_only(
        self, factory: ContainersFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """The container's one published port is bound to 127.0.0.1."""
        found = await factory.call("get", f"/containers/{bodies.container_name(spec.agent_uid)}/json")
        published = found["NetworkSettings"]["Ports"]
        assert list(published) == ["2222/tcp"]
        assert [binding["HostIp"] for binding in published["2222/tcp"]] == ["127.0.0.1"]

    async def test_vibespaces_cannot_reach_each_other(
        self, factory: ContainersFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """An agent reaches its sibling's sshd over their network, and no agent of another vibespace.

        Nor does it once a third vibespace has stopped, which is when netavark 1.4 forgets to keep networks apart.
        """
        sibling, stranger = agent(factory, "sibling", like=spec), agent(factory, "stranger")
        third = agent(factory, "third")
        await asyncio.gather(*(engine.apply(other) for other in (sibling, stranger, third)))
        await engine.apply(replace(third, running=False))
        await asyncio.gather(*(status(engine, other, Condition.RUNNING) for other in (sibling, stranger)))
        assert await run(engine, spec, knock(await address(engine, sibling))) == "True"
        assert await run(engine, spec, knock(await address(engine, stranger))) == "False"

    async def test_no_secret_in_what_the_engine_tells(
        self, factory: ContainersFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """`inspect` shows neither the host key, nor the key that may log in, nor a value of the environment."""
        given = replace(spec, environment={"TOKEN": "hunter2-hunter2"})
        await engine.apply(given)
        assert await run(engine, given, "printenv TOKEN") == "hunter2-hunter2"
        told = json.dumps(await factory.call("get", f"/containers/{bodies.container_name(spec.agent_uid)}/json"))
        assert "hunter2" not in told
        key = spec.host_key.decode().splitlines()[1]
        assert key not in told
        assert spec.authorized_key.split()[1] not in told

    async def test_half_made_is_made_again(
        self, factory: ContainersFactory, engine: ContainersEngine, log_id: str
    ) -> None:
        """A container that was created and never got its keys, as a crash leaves it, is replaced by the next apply."""
        spec = agent(factory)
        await engine.apply(spec)
        await engine.apply(replace(spec, running=False))
        body = bodies.container(log_id, spec, {})
        await factory.call("post", "/containers/create", body, name=bodies.container_name(spec.agent_uid))
        assert (await status(engine, spec, Condition.STOPPED)).reason == "it was made but never started"
        await engine.apply(spec)
        assert await run(engine, spec, "echo whole") == "whole"

    @pytest.mark.parametrize("calls", range(1, 8))
    async def test_cut_off_anywhere_converges(
        self, factory: ContainersFactory, log_id: str, monkeypatch: pytest.MonkeyPatch, calls: int
    ) -> None:
        """An apply that is cut off after any of its calls is completed by the next one."""
        spec, broken = agent(factory), factory.open(log_id)
        cut(monkeypatch, broken, calls)
        with pytest.raises(asyncio.CancelledError):
            await broken.apply(spec)
        whole = factory.open(log_id)
        await whole.apply(spec)
        assert await run(whole, spec, "echo whole") == "whole"

    async def test_subnet_taken(
        self, factory: ContainersFactory, engine: ContainersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When another network has the subnet, a later one is used."""
        first, second = agent(factory), agent(factory)
        offered = list(bodies.subnets(first.vibespace_uid))
        monkeypatch.setattr(bodies, "subnets", lambda _uid: iter(offered))
        await asyncio.gather(engine.apply(first), engine.apply(second))
        addresses = await asyncio.gather(address(engine, first), address(engine, second))
        found = {address.rpartition(".")[0] for address in addresses}
        assert len(found) == 2
        assert found <= {subnet.rpartition(".")[0] for subnet in offered}


class ClosedNetworkContract:
    """What holds where the daemon is root, who alone closes networks. Mixed into a ContainersContract."""

    async def test_closed_network(self, factory: ContainersFactory, engine: ContainersEngine) -> None:
        """In a closed network an agent is reached and reaches its sibling, and nothing of this machine, no other
        vibespace, no name and no address outside.
        """
        firewall.close_networks()  # by this thread, which is where the engine's networks are
        spec = replace(agent(factory), closed=True)
        sibling, stranger = replace(agent(factory, "sibling", like=spec), closed=True), agent(factory, "stranger")
        await asyncio.gather(*(engine.apply(each) for each in (spec, sibling, stranger)))
        await asyncio.gather(*(status(engine, each, Condition.RUNNING) for each in (spec, sibling, stranger)))
        assert await run(engine, spec, knock(await address(engine, sibling))) == "True"
        assert await run(engine, spec, knock(await address(engine, stranger))) == "False"
        with socket.create_server(("0.0.0.0", 0)) as server:
            port = server.getsockname()[1]
            own = await address(engine, spec)
            assert await engine.addresses([spec.agent_uid]) == {spec.agent_uid: [own]}
            assert await run(engine, stranger, knock(own)) == "False"
            gateway, *names = await this_machine(engine, spec)
            for host in (gateway, *names):
                assert await run(engine, spec, knock(host, port)) == "False"
        ask = "import socket as s; c = s.socket(s.AF_INET, s.SOCK_DGRAM); c.settimeout(1); "
        ask += f"c.sendto(bytes.fromhex({QUERY.hex()!r}), ({gateway!r}, 53)); c.recv(100)"
        assert await run(engine, spec, f'python3 -c "{ask}" 2>/dev/null || echo nobody') == "nobody"
        assert await run(engine, stranger, "getent hosts stranger | wc -l") == "1"


QUERY = bytes.fromhex("000101000001000000000000" + "07" + b"sibling".hex() + "00" + "00010001")
"""A question to a name server: the address of `sibling`."""
