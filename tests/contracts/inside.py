"""What every real engine promises of the inside of an agent beyond the suite: it has no powers, and sees little."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Protocol

from tests.contracts.engine import EngineContract
from tests.contracts.factory import Factory, InventoriedEngine, agent, run, uid
from tests.contracts.limits import MEMORY, MIB, PIDS
from vibespace.engine.base import AgentSpec, Engine, Locator, Resources

HOST = "host.containers.internal"
"""What Podman calls this machine, inside."""


class RealEngine(InventoriedEngine, Locator, Protocol):
    """One that also knows where its agents are."""


class RealFactory(Factory, Protocol):
    """A factory of such ones."""

    def open(self, log_id: str) -> RealEngine:
        """See Factory."""


class InsideContract(EngineContract):
    """The suite, and that."""

    async def test_user_without_powers(self, factory: RealFactory, engine: RealEngine, spec: AgentSpec) -> None:
        """Inside is uid 1000, without capabilities, with no new privileges, under a seccomp filter."""
        assert await run(engine, spec, "id -u; id -g") == "1000\n1000"
        lines = (await run(engine, spec, "cat /proc/self/status")).splitlines()
        told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert {told[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0000000000000000"}
        assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2")

    async def test_without_sudo_there_is_no_way_up(self, engine: RealEngine, spec: AgentSpec) -> None:
        """sudo is there and says that it cannot."""
        assert "no new privileges" in await run(engine, spec, "sudo -n true 2>&1 || true")

    async def test_addresses_are_those_inside(self, factory: RealFactory, engine: RealEngine, spec: AgentSpec) -> None:
        """As the container has them; who does not run, or is another log's, has none, and is no error."""
        stopped = replace(agent(factory), running=False)
        await engine.apply(stopped)
        found = await engine.addresses([spec.agent_uid, stopped.agent_uid, uid()])
        assert found == {spec.agent_uid: [await address(engine, spec)]}
        assert await factory.open(uid()).addresses([spec.agent_uid]) == {}

    async def test_low_ports_and_ping_are_allowed(self, engine: RealEngine, spec: AgentSpec) -> None:
        """The user may bind port 80 and open an ICMP socket without any capability."""
        script = "import socket as s; s.create_server(('127.0.0.1', 80)); s.socket(s.AF_INET, s.SOCK_DGRAM, 1)"
        await run(engine, spec, f'python3 -c "{script}"')

    async def test_limits_hold_or_are_told(self, factory: RealFactory, engine: RealEngine) -> None:
        """A limit that the engine does not name as one it cannot enforce is in force; the others harm nothing."""
        spec = replace(
            agent(factory), resources=Resources(cpu_limit_millis=500, memory_limit_bytes=128 * MIB, pids=123)
        )
        await engine.apply(spec)
        told = (await engine.identity()).unenforced_limits
        inside = await run(engine, spec, f"{PIDS} || echo none; {MEMORY} || echo none")
        held = {"processes": "123", "memory": str(128 * MIB)}
        assert {name for name, found in zip(held, inside.split(), strict=True) if found != held[name]} == {*told} - {
            "cpu"
        }
        fields = {"cpu": "cpu_limit_millis", "memory": "memory_limit_bytes", "processes": "pids"}
        assert {fields[name] for name in told} == {*fields.values()} - await engine.enforced()

    async def test_host_loopback_is_closed(self, engine: RealEngine, spec: AgentSpec) -> None:
        """A server on this machine's loopback is not reached from inside, by any of the machine's addresses there."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            for host in ("127.0.0.1", *await this_machine(engine, spec)):
                assert await run(engine, spec, knock(host, port)) == "False"

    async def test_the_hosts_names_stay_outside(self, engine: RealEngine, spec: AgentSpec) -> None:
        """What this machine's /etc/hosts knows is not told inside."""
        own = socket.gethostname()
        assert own not in (await run(engine, spec, "cat /etc/hosts")).split()
        assert await run(engine, spec, "cat /etc/hostname") == spec.agent


async def address(engine: Engine, spec: AgentSpec) -> str:
    return (await run(engine, spec, "hostname -I")).split()[0]


async def this_machine(engine: Engine, spec: AgentSpec) -> list[str]:
    """By what this machine may be found from inside. No name server is asked: where none is, that takes long."""
    gateway = (await address(engine, spec)).rpartition(".")[0] + ".1"
    return [gateway, HOST] if HOST in await run(engine, spec, "cat /etc/hosts") else [gateway]


def knock(host: str, port: int = 2222) -> str:
    """A command that prints whether a connection is accepted there."""
    script = f"import socket as s; c = s.socket(); c.settimeout(1); print(c.connect_ex(('{host}', {port})) == 0)"
    return f'python3 -c "{script}" 2>/dev/null || echo False'
