"""What holds where the engine may set limits: they are in the kernel, as asked, and they bite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.contracts.factory import Factory, agent, inside, run
from vibespace.engine import bodies
from vibespace.engine.base import AgentSpec, Engine, Resources
from vibespace.engine.containers import ContainersEngine

MIB = 1 << 20

V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
PIDS = f"cat /sys/fs/cgroup/{'' if V2 else 'pids/'}pids.max"
MEMORY = f"cat /sys/fs/cgroup/{'memory.max' if V2 else 'memory/memory.limit_in_bytes'}"
FILES_1 = (
    *("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpu/cpu.shares", "memory/memory.soft_limit_in_bytes"),
    *("memory/memory.limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "pids/pids.max"),
)
FILES_2 = ("cpu.max", "memory.low", "memory.max", "memory.swap.max", "pids.max")
COMMON = f"cd /sys/fs/cgroup; cat {' '.join(('cpu.max', 'memory.max') if V2 else (*FILES_1[:2], FILES_1[4]))}"
"""The files of what every real engine limits."""
CGROUP = f"cd /sys/fs/cgroup; cat {' '.join(FILES_2 if V2 else FILES_1)}"

ASKED = Resources(cpu_millis=250, cpu_limit_millis=500, memory_bytes=64 * MIB, memory_limit_bytes=128 * MIB, pids=123)


class LimitsContract:
    """Mixed into the contract of a real engine."""

    async def test_limits_are_in_the_kernel(self, factory: Factory, engine: Engine) -> None:
        """Processor and memory are limited in the container's cgroup as asked."""
        spec = replace(agent(factory), resources=ASKED)
        await engine.apply(spec)
        assert (await run(engine, spec, COMMON)).split() == ["50000", "100000", str(128 * MIB)]

    async def test_memory_really_ends(self, factory: Factory, engine: Engine) -> None:
        """A process that takes more memory than the limit is killed; the container lives on."""
        spec = replace(agent(factory), resources=Resources(memory_limit_bytes=128 * MIB))
        await engine.apply(spec)
        async with inside(engine, spec) as connection:
            eater = await connection.run("python3 -c 'x = bytearray(1 << 29)'")
            assert eater.exit_status != 0 or eater.exit_signal
        assert await run(engine, spec, "echo alive") == "alive"


class AllLimitsContract(LimitsContract):
    """Where these are all that can be asked for. Mixed into a ContainersContract."""

    async def test_limits_are_in_force(self, factory: Factory, engine: ContainersEngine) -> None:
        """Processor, memory with swap, and processes are limited in the container's cgroup as asked."""
        spec = replace(agent(factory), resources=ASKED)
        await engine.apply(spec)
        limits = await run(engine, spec, CGROUP)
        assert limits.split() == expected_limits()
        assert (await engine.identity()).unenforced_limits == ()

    async def test_a_fork_bomb_ends_at_the_limit(self, factory: Factory, engine: ContainersEngine) -> None:
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


def expected_limits() -> list[str]:
    if V2:
        return ["50000", "100000", str(64 * MIB), str(128 * MIB), "0", "123"]
    return ["50000", "100000", "256", str(64 * MIB), str(128 * MIB), str(128 * MIB), "123"]
