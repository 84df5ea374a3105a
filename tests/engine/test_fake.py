"""The fake engine keeps the contract, survives its process, and fails as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.engine import EngineContract
from tests.contracts.factory import Factory, agent, find, inside, run, status, uid, watching, whole
from vibespace.engine import bodies
from vibespace.engine.base import AgentSpec, Condition
from vibespace.engine.fake import FakeEngine, Fault, faults
from vibespace.engine.fake_world import World
from vibespace.errors import InvalidArgument, Unavailable


class FakeFactory:
    image = "an-image"

    def __init__(self, world: World) -> None:
        self.world = world
        self.opened: list[FakeEngine] = []

    def open(self, log_id: str) -> FakeEngine:
        missing = frozenset({"localhost/vibespace-absent:none"})
        self.opened.append(FakeEngine(log_id, self.world, image_missing=missing))
        return self.opened[-1]

    async def remove_by_hand(self, agent_uid: str) -> None:
        self.world.drop("container", bodies.container_name(agent_uid))

    async def end_by_itself(self, agent_uid: str) -> None:
        self.world.end(bodies.container_name(agent_uid), "it ended with exit code 1")

    async def bounce(self) -> None:
        self.world.set_reachable(False)
        self.world.set_reachable(True)


@pytest.fixture(params=["memory", "directory"])
async def factory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeFactory]:
    factory = FakeFactory(World(tmp_path if request.param == "directory" else None))
    yield factory
    await asyncio.gather(*(engine.close() for engine in factory.opened))
    factory.world.close()


class TestFakeEngine(EngineContract):
    """The suite, in memory and in a directory."""


async def one(tmp_path: Path, *scripted: Fault) -> tuple[FakeEngine, AgentSpec]:
    engine = FakeEngine("log", World(tmp_path), faults=scripted)
    return engine, agent(FakeFactory(engine.world))


async def test_containers_outlive_the_process(tmp_path: Path) -> None:
    """A new object on the same directory finds the same run of the container, its key and its files."""
    first, spec = await one(tmp_path)
    await first.apply(spec)
    before = await status(first, spec, Condition.RUNNING)
    await run(first, spec, "echo own > /home/agent/file")
    await first.close()
    second = FakeEngine("log", World(tmp_path))
    assert await status(second, spec, Condition.RUNNING) == before
    assert await run(second, spec, "cat $HOME/file") == "own"
    await second.close()


async def test_commands_see_their_own_paths(tmp_path: Path) -> None:
    """/vibespace and /home/agent in a command mean this agent's directories, and only whole paths do."""
    engine, spec = await one(tmp_path)
    await engine.apply(spec)
    assert await run(engine, spec, "echo /vibespaces ./vibespace a/vibespace") == "/vibespaces ./vibespace a/vibespace"
    assert await run(engine, spec, "echo '/vibespace/x'") == f"{tmp_path}/files/vs-{spec.data_uid}/x"
    await engine.close()


async def test_exit_codes_and_signals(tmp_path: Path) -> None:
    """A command's exit code, and the signal that ended it, come back as from a real sshd."""
    engine, spec = await one(tmp_path)
    await engine.apply(spec)
    async with inside(engine, spec) as connection:
        assert (await connection.run("exit 7")).exit_status == 7
        process = await connection.create_process("echo ready; exec sleep 1000")
        assert await process.stdout.readline() == "ready\n"
        process.send_signal("TERM")
        ended = (await process.wait()).exit_signal
        assert ended
        assert ended[0] == "TERM"
    await engine.close()


async def test_fail_does_nothing(tmp_path: Path) -> None:
    """`fail`: the call is refused, nothing is done, the next one works."""
    engine, spec = await one(tmp_path, Fault("apply", 1, "fail"))
    with pytest.raises(Unavailable):
        await engine.apply(spec)
    assert await engine.leftovers(frozenset()) == []
    await engine.apply(spec)


async def test_lose_does_it_and_says_otherwise(tmp_path: Path) -> None:
    """`lose`: the container is there although the call failed."""
    engine, spec = await one(tmp_path, Fault("apply", 1, "lose"))
    with pytest.raises(Unavailable):
        await engine.apply(spec)
    await status(engine, spec, Condition.RUNNING)


async def test_hang_never_answers(tmp_path: Path) -> None:
    """`hang`: the call neither does anything nor returns, until it is cancelled."""
    engine, spec = await one(tmp_path, Fault("apply", 1, "hang"))
    call = asyncio.create_task(engine.apply(spec))
    await asyncio.create_task(engine.apply(agent(FakeFactory(engine.world))))
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await status(engine, spec, Condition.ABSENT)).started == ""


async def test_twice_does_it_twice(tmp_path: Path) -> None:
    """`twice`: a delete is done twice without an error, and a watch tells everything twice."""
    engine, spec = await one(tmp_path, Fault("delete", 1, "twice"), Fault("watch", 1, "twice"))
    await engine.apply(spec)
    async with watching(engine) as snapshots:
        assert find(await anext(snapshots), spec) == find(await anext(snapshots), spec)
    await engine.delete(whole(spec), keep_data=False)


async def test_thousands_of_agents(tmp_path: Path) -> None:
    """Two thousand agents are applied and told of in one snapshot, and no ssh server is started for any."""
    engine = FakeEngine("log", World(tmp_path))
    specs = [agent(FakeFactory(engine.world)) for _ in range(2000)]
    await asyncio.gather(*(engine.apply(spec) for spec in specs))
    async with watching(engine) as snapshots:
        assert len((await anext(snapshots)).statuses) == 2000
    assert list((tmp_path / "files").glob("*")) == []


def test_faults_are_read_from_text() -> None:
    """What a daemon under test is handed in its environment becomes the faults; anything else is refused."""
    assert faults("apply:3:fail,watch:1:hang") == (Fault("apply", 3, "fail"), Fault("watch", 1, "hang"))
    assert faults("") == ()
    for wrong in ("apply", "apply:x:fail", "fly:1:fail", "apply:1:explode"):
        with pytest.raises(InvalidArgument):
            faults(wrong)


def test_is_a_factory(tmp_path: Path) -> None:
    """The factory of this test is what the suite asks for."""
    factory: Factory = FakeFactory(World(tmp_path))
    assert factory.open(uid())
