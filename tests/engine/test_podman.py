"""The containers engine on a real Podman: the suite, and what only real containers can prove."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.engine import EngineContract, agent, inside, run, shown, status, uid, watching
from tests.image.engine import agent_image
from tests.podman import cache, podman_socket, purge
from vibespace.engine import bodies, examination
from vibespace.engine.api import Api
from vibespace.engine.base import AgentSpec, Condition, HostMount, Resources
from vibespace.engine.containers import ContainersEngine
from vibespace.setup import firewall, podman
from vibespace.setup.context import pieces

__all__ = ["agent_image", "podman_socket"]

pytestmark = pytest.mark.containers

MIB = 1 << 20


class PodmanFactory:
    def __init__(self, socket: str, image: str) -> None:
        self.socket = socket
        self.image = image
        self.opened: dict[str, ContainersEngine] = {}
        self.logs: set[str] = set()

    def open(self, log_id: str) -> ContainersEngine:
        self.logs.add(log_id)
        engine = ContainersEngine(self.socket, log_id)
        self.opened[uid()] = engine
        return engine

    async def remove_by_hand(self, agent_uid: str) -> None:
        await self.podman("rm", "--force", "--time=0", bodies.container_name(agent_uid))

    async def end_by_itself(self, agent_uid: str) -> None:
        await self.podman("kill", bodies.container_name(agent_uid))

    async def bounce(self) -> None:
        os.kill(int((cache() / "podman/pid").read_text()), signal.SIGKILL)
        await asyncio.to_thread(podman.ensure, cache() / "podman")

    async def podman(self, *arguments: str) -> str:
        """What a person at the prompt would do."""
        process = await asyncio.create_subprocess_exec(
            "podman", *arguments, env=podman.environment(cache() / "podman"), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode()


@pytest.fixture
async def factory(podman_socket: str, agent_image: str) -> AsyncIterator[PodmanFactory]:
    factory = PodmanFactory(podman_socket, agent_image)
    yield factory
    await asyncio.gather(*(engine.close() for engine in factory.opened.values()))
    await asyncio.gather(*(purge(podman_socket, log_id) for log_id in factory.logs))


class TestPodmanEngine(EngineContract):
    """The suite, and what is true of containers only."""

    async def test_user_without_powers(self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec) -> None:
        """Inside is uid 1000, without capabilities, with no new privileges, under a seccomp filter."""
        assert await run(engine, spec, "id -u; id -g") == "1000\n1000"
        lines = (await run(engine, spec, "cat /proc/self/status")).splitlines()
        told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert {told[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0000000000000000"}
        assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")

    async def test_sudo_is_root_inside_and_no_more(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """With sudo the user is uid 1000 without capabilities until he asks, then root who may install and not more."""
        spec = replace(agent(factory), sudo=True)
        await engine.apply(spec)
        assert await run(engine, spec, "id -u; grep CapEff /proc/self/status") == "1000\nCapEff:\t0000000000000000"
        script = "id -u; touch /usr/installed && chown 1000 /usr/installed && stat -c %u /usr/installed"
        assert await run(engine, spec, f"sudo sh -c '{script}'") == "0\n1000"
        forbidden = "mount -t tmpfs x /mnt || mknod /tmp/sda b 8 0 || date -s 2001-01-01 || echo none"
        assert (await run(engine, spec, f"sudo sh -c '{forbidden}' 2>/dev/null")).splitlines()[-1] == "none"

    async def test_without_sudo_there_is_no_way_up(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """sudo is there and says that it cannot."""
        assert "no new privileges" in await run(engine, spec, "sudo -n true 2>&1 || true")

    async def test_read_only_mounts(self, factory: PodmanFactory, engine: ContainersEngine, tmp_path: Path) -> None:
        """What is mounted to read cannot be written, by root inside neither."""
        mount = HostMount(str(shown(tmp_path / "the data", "hello")), "/mnt/data", read_only=True)
        spec = replace(agent(factory), mounts=(mount,), sudo=True)
        await engine.apply(spec)
        assert await run(engine, spec, "cat /mnt/data/file") == "hello"
        for who in ("", "sudo "):
            told = await run(engine, spec, f"{who}sh -c 'echo x > /mnt/data/file' 2>&1 || true")
            assert "Read-only file system" in told

    async def test_what_images_lack(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """A bare Debian lacks what the agents' image adds, an empty one a shell, and looking leaves nothing."""
        api = Api(factory.socket)
        try:
            bases = await api.get("/images/json", filters={"reference": ["localhost/vibespace-base"]})
            lacks = await engine.examine(bases[0]["Id"])
            empty = io.BytesIO()
            with tarfile.open(fileobj=empty, mode="w") as tar:
                tar.addfile(tarfile.TarInfo("file"))
            name = f"localhost/vibespace-test-{uid()}"
            tar_pieces = pieces(io.BytesIO(empty.getvalue()[: tar.offset]))
            async for _ in api.stream("POST", "/images/create", tar=tar_pieces, fromSrc="-", repo=name):
                pass
            assert list(await engine.examine(name)) == [examination.NO_SHELL]
            await api.delete(f"/images/{name}")
        finally:
            await api.close()
        for missing in ("a user agent", "sshd", "git", "claude", "entry", "bash.bashrc", "/vibespace", "/home/agent"):
            assert any(missing in each for each in lacks), missing
        assert not any("GNU C library" in each or each == "/bin/bash" for each in lacks)
        assert await engine.leftovers(frozenset()) == []

    async def test_a_renamed_container_is_still_ours(
        self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """A container that somebody gave another name is stopped and taken away all the same."""
        await engine.apply(spec)
        name = f"other-{spec.agent_uid}"
        await factory.podman("rename", bodies.container_name(spec.agent_uid), name)
        await engine.apply(replace(spec, running=False))
        assert name not in await factory.podman("ps", "--all", "--format={{.Names}}")

    async def test_volumes_belong_to_the_user(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """/vibespace and the home are uid 1000's, and writable."""
        assert await run(engine, spec, "stat -c %u:%g /vibespace /home/agent") == "1000:1000\n1000:1000"
        await run(engine, spec, "touch /vibespace/x /home/agent/x")

    async def test_ssh_files_are_read_only(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """Host key and authorized keys are root's, readable for the user's group, and he cannot change them."""
        files = "/etc/vibespace/ssh/host_key /etc/vibespace/ssh/authorized_keys /etc/vibespace/environment"
        assert (await run(engine, spec, f"stat -c '%u:%g %a' {files}")).split("\n") == ["0:1000 440"] * 3
        assert await run(engine, spec, f"for f in {files}; do test -w $f && echo writable; done; true") == ""

    async def test_low_ports_and_ping_are_allowed(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """The user may bind port 80 and open an ICMP socket without any capability."""
        script = "import socket as s; s.create_server(('127.0.0.1', 80)); s.socket(s.AF_INET, s.SOCK_DGRAM, 1)"
        await run(engine, spec, f'python3 -c "{script}"')

    async def test_limits_are_in_force(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """Processor, memory with swap, and processes are limited in the container's cgroup as asked."""
        asked = Resources(
            cpu_millis=250, cpu_limit_millis=500, memory_bytes=64 * MIB, memory_limit_bytes=128 * MIB, pids=123
        )
        spec = replace(agent(factory), resources=asked)
        await engine.apply(spec)
        limits = await run(engine, spec, CGROUP)
        assert limits.split() == expected_limits()

    async def test_memory_really_ends(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """A process that takes more memory than the limit is killed; the container lives on."""
        spec = replace(agent(factory), resources=Resources(memory_limit_bytes=128 * MIB))
        await engine.apply(spec)
        async with inside(engine, spec) as connection:
            eater = await connection.run("python3 -c 'x = bytearray(1 << 29)'")
            assert eater.exit_status != 0 or eater.exit_signal
        assert await run(engine, spec, "echo alive") == "alive"

    async def test_a_fork_bomb_ends_at_the_limit(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """Nobody inside can start more processes than the limit."""
        spec = replace(agent(factory), resources=Resources(pids=40))
        await engine.apply(spec)
        bomb = "import os\nn = 0\ntry:\n while n < 100:\n  n += 1\n  if not os.fork(): os.read(0, 1); os._exit(0)\n"
        bomb += "except BlockingIOError: print('refused', n < 40)\nos.killpg(0, 9)"
        async with inside(engine, spec) as connection:
            result = await connection.run(f'python3 -uc "{bomb}"')
            assert result.stdout == "refused True\n"

    async def test_default_limit_of_processes(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """Also an agent for which nothing was asked has a limit of processes."""
        assert await run(engine, spec, PIDS) == str(bodies.PIDS)

    async def test_sshd_is_on_loopback_only(
        self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """The container's one published port is bound to 127.0.0.1."""
        api = Api(factory.socket)
        found = await api.get(f"/containers/{bodies.container_name(spec.agent_uid)}/json")
        await api.close()
        published = found["NetworkSettings"]["Ports"]
        assert list(published) == ["2222/tcp"]
        assert [binding["HostIp"] for binding in published["2222/tcp"]] == ["127.0.0.1"]

    async def test_vibespaces_cannot_reach_each_other(
        self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec
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

    async def test_closed_network(self, factory: PodmanFactory, engine: ContainersEngine) -> None:
        """In a closed network an agent is reached and reaches its sibling, and nothing of this machine, no other
        vibespace, no name and no address outside.
        """
        await asyncio.to_thread(firewall.close_networks)
        spec = replace(agent(factory), closed=True)
        sibling, stranger = replace(agent(factory, "sibling", like=spec), closed=True), agent(factory, "stranger")
        await asyncio.gather(*(engine.apply(each) for each in (spec, sibling, stranger)))
        await asyncio.gather(*(status(engine, each, Condition.RUNNING) for each in (spec, sibling, stranger)))
        assert await run(engine, spec, knock(await address(engine, sibling))) == "True"
        assert await run(engine, spec, knock(await address(engine, stranger))) == "False"
        assert await run(engine, spec, "ip route show default") == ""
        with socket.create_server(("0.0.0.0", 0)) as server:
            port = server.getsockname()[1]
            own = await address(engine, spec)
            assert await run(engine, stranger, knock(own)) == "False"
            gateway = own.rpartition(".")[0] + ".1"
            assert await run(engine, spec, knock(gateway, port)) == "False"
            assert await run(engine, spec, knock("host.containers.internal", port)) == "False"
        ask = "import socket as s; c = s.socket(s.AF_INET, s.SOCK_DGRAM); c.settimeout(1); "
        ask += f"c.sendto(bytes.fromhex({QUERY.hex()!r}), ({gateway!r}, 53)); c.recv(100)"
        assert await run(engine, spec, f'python3 -c "{ask}" 2>/dev/null || echo nobody') == "nobody"
        assert await run(engine, stranger, "getent hosts stranger | wc -l") == "1"

    async def test_host_loopback_is_closed(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """A server on this machine's loopback is not reached from inside, by any of the machine's addresses there."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            gateway = (await address(engine, spec)).rpartition(".")[0] + ".1"
            for host in ("127.0.0.1", gateway, "host.containers.internal"):
                assert await run(engine, spec, knock(host, port)) == "False"

    async def test_the_hosts_names_stay_outside(self, engine: ContainersEngine, spec: AgentSpec) -> None:
        """What this machine's /etc/hosts knows is not told inside."""
        own = socket.gethostname()
        assert own not in (await run(engine, spec, "cat /etc/hosts")).split()
        assert await run(engine, spec, "cat /etc/hostname") == spec.agent

    async def test_no_secret_in_what_the_engine_tells(
        self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec
    ) -> None:
        """`inspect` shows neither the host key, nor the key that may log in, nor a value of the environment."""
        given = replace(spec, environment={"TOKEN": "hunter2-hunter2"})
        await engine.apply(given)
        assert await run(engine, given, "printenv TOKEN") == "hunter2-hunter2"
        told = await factory.podman("inspect", bodies.container_name(spec.agent_uid))
        assert "hunter2" not in told
        key = spec.host_key.decode().splitlines()[1]
        assert key not in told
        assert spec.authorized_key.split()[1] not in told

    async def test_half_made_is_made_again(self, factory: PodmanFactory, engine: ContainersEngine, log_id: str) -> None:
        """A container that was created and never got its keys, as a crash leaves it, is replaced by the next apply."""
        spec = agent(factory)
        await engine.apply(spec)
        await engine.apply(replace(spec, running=False))
        api = Api(factory.socket)
        body = bodies.container(log_id, spec, {})
        await api.post("/containers/create", body, name=bodies.container_name(spec.agent_uid))
        await api.close()
        assert (await status(engine, spec, Condition.STOPPED)).reason == "it was made but never started"
        await engine.apply(spec)
        assert await run(engine, spec, "echo whole") == "whole"

    @pytest.mark.parametrize("calls", range(1, 8))
    async def test_cut_off_anywhere_converges(self, factory: PodmanFactory, log_id: str, calls: int) -> None:
        """An apply that is cut off after any of its calls is completed by the next one."""
        spec, broken = agent(factory), factory.open(log_id)
        cut(broken, calls)
        with pytest.raises(asyncio.CancelledError):
            await broken.apply(spec)
        whole = factory.open(log_id)
        await whole.apply(spec)
        assert await run(whole, spec, "echo whole") == "whole"

    async def test_subnet_taken(
        self, factory: PodmanFactory, engine: ContainersEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When another network has the subnet, the next one is used."""
        first, second = agent(factory), agent(factory)
        taken = list(bodies.subnets(first.vibespace_uid))[:2]
        monkeypatch.setattr(bodies, "subnets", lambda _uid: iter(taken))
        await asyncio.gather(engine.apply(first), engine.apply(second))
        addresses = await asyncio.gather(address(engine, first), address(engine, second))
        assert sorted(a.rpartition(".")[0] for a in addresses) == sorted(s.rpartition(".")[0] for s in taken)

    async def test_revive_before_watch(self, factory: PodmanFactory, engine: ContainersEngine, spec: AgentSpec) -> None:
        """A watch starts the engine first when it was given the means, so that a dead Podman comes back by itself."""

        async def revive() -> None:
            await asyncio.to_thread(podman.ensure, cache() / "podman")

        await status(engine, spec, Condition.RUNNING)
        await asyncio.to_thread(podman.stop, cache() / "podman")
        reviving = ContainersEngine(factory.socket, next(iter(factory.logs)), revive=revive)
        async with watching(reviving) as snapshots:
            assert [found.agent_uid for found in (await anext(snapshots)).statuses] == [spec.agent_uid]
        await reviving.close()


def cut(engine: ContainersEngine, calls: int) -> None:
    """Let the engine's n-th call go through, and the process be gone before its answer is used."""
    original, left = engine._api._call, calls

    async def counted(*arguments: object, **more: object) -> object:
        nonlocal left
        left -= 1
        answer = await original(*arguments, **more)  # type: ignore[arg-type]
        if left <= 0:
            raise asyncio.CancelledError
        return answer

    engine._api._call = counted  # type: ignore[method-assign]


async def address(engine: ContainersEngine, spec: AgentSpec) -> str:
    return (await run(engine, spec, "hostname -I")).split()[0]


def knock(host: str, port: int = 2222) -> str:
    """A command that prints whether a connection is accepted there."""
    script = f"import socket as s; c = s.socket(); c.settimeout(1); print(c.connect_ex(('{host}', {port})) == 0)"
    return f'python3 -c "{script}" 2>/dev/null || echo False'


QUERY = bytes.fromhex("000101000001000000000000" + "07" + b"sibling".hex() + "00" + "00010001")
"""A question to a name server: the address of `sibling`."""

V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
PIDS = f"cat /sys/fs/cgroup/{'' if V2 else 'pids/'}pids.max"
FILES_1 = (
    *("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpu/cpu.shares", "memory/memory.soft_limit_in_bytes"),
    *("memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "pids/pids.max"),
)
FILES_2 = ("cpu.max", "memory.low", "memory.max", "memory.swap.max", "pids.max")
CGROUP = f"cd /sys/fs/cgroup; cat {' '.join(FILES_2 if V2 else FILES_1)}"


def expected_limits() -> list[str]:
    if V2:
        return ["50000", "100000", str(64 * MIB), str(128 * MIB), "0", "123"]
    return ["50000", "100000", "256", str(64 * MIB), str(128 * MIB), str(128 * MIB), "123"]
