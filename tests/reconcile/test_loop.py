"""The loop on the fake engine: what is asked becomes what is, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from tests.app.house import ENGINE, House, add, create, delete, start, stop
from tests.daemon.running import quiet
from tests.reconcile.virtual import in_virtual_time
from vibespace.app import agents, host
from vibespace.app.feed import Feed
from vibespace.app.vibespaces import change_vibespace
from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.engine import bodies
from vibespace.engine.base import AgentSpec
from vibespace.engine.fake import FakeEngine, Fault
from vibespace.engine.fake_world import World
from vibespace.errors import Exhausted, FailedPrecondition
from vibespace.net.base import Repositories, Shell
from vibespace.reconcile.loop import Reconciler
from vibespace.vault import Vault

IMAGE = "an-image"
URL = "https://example.org/a/project.git"


class Keys:
    """Key files that lie nowhere."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def make_host_key(self, agent_uid: str) -> bytes:
        self.made.add(agent_uid)
        return f"key of {agent_uid}".encode()

    def authorized_key(self) -> str:
        return "ssh-ed25519 AAAA"

    def delete(self, agent_uid: str) -> None:
        self.made.discard(agent_uid)


class Outside:
    """The shell and git, as far as the loop needs them: what was forgotten, and what cloning shall say."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.clones: list[tuple[str, ...]] = []
        self.failing = ""

    def prepare(self, spec: AgentSpec) -> None:
        """This machine is fit for whatever the tests say."""

    async def forget(self, agent_uid: str) -> None:
        self.forgotten.append(agent_uid)

    async def clone(self, *asked: str) -> str:
        self.clones.append(asked)
        if self.failing:
            raise FailedPrecondition("REPOSITORY_FAILED", self.failing)
        return "c" * 40


class Site:
    """A house whose intents are made so."""

    def __init__(self, house: House, world: World, tmp_path: Path) -> None:
        self.house = house
        self.world = world
        self.keys = Keys()
        self.vault = Vault(tmp_path / "vault")
        self.outside = Outside()

    @property
    def feed(self) -> Feed:
        return self.house.feed

    @asynccontextmanager
    async def reconciling(
        self, *, faults: Iterable[Fault] = (), image_missing: frozenset[str] = frozenset()
    ) -> AsyncIterator[None]:
        """The loop runs inside this block."""
        engine = FakeEngine(self.feed.log_id, self.world, faults=faults, image_missing=image_missing)
        shell, repositories = cast(Shell, self.outside), cast(Repositories, self.outside)
        loop = Reconciler(
            self.feed, self.house.writer, engine, shell, repositories, self.keys, self.vault, self.outside.prepare
        )
        task = asyncio.create_task(loop.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait({task})
            await engine.close()

    async def until(self, holds: Callable[[Feed], object]) -> None:
        while not holds(self.feed):
            await self.feed.news()

    def agent(self, name: str = "claude-1") -> Agent:
        return self.feed.state.agent("demo", name)

    def state(self) -> tuple[states.State, str]:
        """Of `demo`, as Get shows it, and its reason."""
        vibespace = self.feed.state.vibespace("demo")
        assert self.feed.state.host
        return states.vibespace_state(vibespace, list(self.feed.state.agents("demo")), self.feed.state.host)

    def things(self, kind: str) -> list[str]:
        return [name for found, name in self.world.things if found == kind]

    def topics(self, after: int = 0) -> list[str]:
        return [recorded.topic for recorded in self.house.log.read(after)]


@asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A house after `init`."""
    house, world = House(tmp_path / "events.db"), World()
    await house.open()
    await house.ask(partial(host.initialize, engine=ENGINE, image=IMAGE))
    try:
        yield Site(house, world, tmp_path)
    finally:
        await house.close()
        world.close()


def in_state(wanted: states.State, made: Site) -> Callable[[Feed], bool]:
    return lambda feed: made.state()[0] == wanted


@in_virtual_time
async def test_what_is_created_comes_up_and_rests_and_comes_back(tmp_path: Path) -> None:
    """create, stop and start are each one observation an agent, of the generation that was asked for."""
    async with site(tmp_path) as made, made.reconciling():
        await made.until(quiet)
        before = made.feed.state.position
        await made.house.ask(create())
        await made.house.ask(add())
        await made.until(quiet)
        assert made.state() == (states.State.RUNNING, "")
        assert sorted(made.topics(before)) == sorted(["vibespace.created", *["agent.created", "agent.observed"] * 2])
        assert len(made.things("container")) == 2
        before = made.feed.state.position
        await made.house.ask(stop())
        await made.until(quiet)
        assert made.state() == (states.State.STOPPED, "")
        assert made.things("container") == []
        assert len(made.things("volume")) == 3
        await made.house.ask(start())
        await made.until(quiet)
        assert made.state() == (states.State.RUNNING, "")
        assert [topic for topic in made.topics(before) if topic != "agent.observed"] == [
            "vibespace.stop_requested",
            "vibespace.start_requested",
        ]
        assert made.topics(before).count("agent.observed") == 4


@in_virtual_time
async def test_a_deletion_goes_through(tmp_path: Path) -> None:
    """Containers, volumes, network and keys go, then the agents, then the vibespace; its name is free again."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.house.ask(add())
        await made.until(quiet)
        before = made.feed.state.position
        await made.house.ask(delete())
        await made.until(lambda feed: not feed.state.vibespaces)
        assert made.topics(before) == ["vibespace.deletion_requested", *["agent.deleted"] * 2, "vibespace.deleted"]
        assert made.world.things == {}
        await made.house.ask(create())
        await made.until(quiet)


@in_virtual_time
async def test_a_deletion_that_is_refused_shows_why(tmp_path: Path) -> None:
    """What the engine will not take away yet is a reason of the vibespace, told once, until it goes."""
    async with site(tmp_path) as made:
        async with made.reconciling(faults=[Fault("delete", 2, "refuse"), Fault("delete", 3, "refuse")]):
            await made.house.ask(create())
            await made.until(quiet)
            before = made.feed.state.position
            await made.house.ask(delete())
            await made.until(lambda feed: made.state()[1] == "It was told to refuse.")
            assert made.state()[0] == states.State.DELETING
            await made.until(lambda feed: not feed.state.vibespaces)
        assert made.topics(before)[1:] == ["agent.deleted", "vibespace.deletion_failed", "vibespace.deleted"]


@in_virtual_time
async def test_kept_data_is_found_again(tmp_path: Path) -> None:
    """delete --keep-data leaves the volumes, and a vibespace that takes them over has the same ones."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        volumes = made.things("volume")
        await made.house.ask(delete(keep_data=True))
        await made.until(lambda feed: not feed.state.vibespaces)
        assert made.things("volume") == volumes
        assert made.things("network") == []
        await made.house.ask(create(reuse=True))
        await made.until(quiet)
        assert made.things("volume") == volumes


@in_virtual_time
async def test_one_agent_can_go(tmp_path: Path) -> None:
    """Its container and home go; the others and the shared files stay."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.house.ask(add())
        await made.until(quiet)
        await made.house.ask(partial(agents.delete_agent, vibespace="demo", name="claude-2"))
        await made.until(lambda feed: len(list(feed.state.agents())) == 1)
        assert len(made.things("container")) == 1
        assert len(made.things("volume")) == 2


@in_virtual_time
async def test_a_container_that_was_removed_by_hand_comes_back(tmp_path: Path) -> None:
    """The loss is recorded with its reason, and repaired at once, under the same generation."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        before, uid = made.feed.state.position, made.agent().uid
        made.world.drop("container", bodies.container_name(uid))
        await made.until(lambda feed: made.agent().observed == "failed")
        assert made.state() == (states.State.FAILED, "claude-1: its container is gone")
        await made.until(quiet)
        assert made.topics(before) == ["agent.observed"] * 2
        assert made.things("container") == [bodies.container_name(uid)]
        assert made.outside.forgotten == [uid]
        assert made.agent().generation == 1


@in_virtual_time
async def test_a_container_that_keeps_ending_is_started_ever_later(tmp_path: Path) -> None:
    """Each end is a failure with the engine's reason; the pauses grow, so nothing spins."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        name, loop, times = bodies.container_name(made.agent().uid), asyncio.get_running_loop(), []
        for _ in range(6):
            made.world.end(name, "it ended with exit code 1")
            await made.until(lambda feed: made.agent().observed == "failed")
            assert made.agent().reason == "it ended with exit code 1"
            failed = loop.time()
            await made.until(quiet)
            times.append(round(loop.time() - failed, 1))
        assert times == sorted(times)
        assert times[-1] >= 4


@in_virtual_time
async def test_a_refusal_of_the_engine_is_a_reason_and_is_tried_again(tmp_path: Path) -> None:
    """An image that is missing shows as FAILED with the engine's sentence; once it is there the agent comes up."""
    async with site(tmp_path) as made:
        async with made.reconciling(image_missing=frozenset({IMAGE})):
            await made.house.ask(create())
            await made.until(in_state(states.State.FAILED, made))
            assert made.state()[1] == f"claude-1: The engine has no image {IMAGE}."
            before = made.feed.state.position
            await asyncio.sleep(300)
            assert made.topics(before) == []  # the same failure again is no news
        async with made.reconciling():
            await made.until(quiet)
            assert made.state() == (states.State.RUNNING, "")


@in_virtual_time
async def test_asking_again_does_not_wait_for_the_next_try(tmp_path: Path) -> None:
    """`start` of what failed tries now, and says so by a new generation."""
    async with site(tmp_path) as made, made.reconciling(image_missing=frozenset({IMAGE})):
        await made.house.ask(create())
        await made.until(in_state(states.State.FAILED, made))
        await asyncio.sleep(300)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await made.house.ask(start())
        assert made.state()[0] == states.State.STARTING
        await made.until(in_state(states.State.FAILED, made))
        assert loop.time() - asked < 5
        assert made.agent().observed_vibespace_generation == 2


FAULTS = [
    *(Fault("apply", nth, kind) for nth in (1, 2) for kind in ("fail", "lose", "twice", "hang")),
    *(Fault("delete", nth, kind) for nth in (1, 2) for kind in ("fail", "lose", "twice", "hang")),
    *(Fault("watch", nth, kind) for nth in (1, 2) for kind in ("fail", "twice")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.verb}-{fault.nth}-{fault.kind}")
@in_virtual_time
async def test_a_fault_delays_and_changes_nothing(tmp_path: Path, fault: Fault) -> None:
    """Whichever call of the engine fails, hangs, loses its answer or is done twice: the end is what was asked for."""
    async with site(tmp_path) as made, made.reconciling(faults=[fault]):
        await made.house.ask(create())
        await made.house.ask(add())
        await made.until(quiet)
        assert len(made.things("container")) == 2
        await made.house.ask(stop())
        await made.until(quiet)
        assert made.things("container") == []
        await made.house.ask(delete())
        await made.until(lambda feed: not feed.state.vibespaces)
        assert made.world.things == {}


@in_virtual_time
async def test_an_engine_that_is_lost_makes_everything_unknown_until_it_is_back(tmp_path: Path) -> None:
    """An outage is recorded once a reason, and so is its end; what was asked meanwhile is then done."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        before = made.feed.state.position
        made.world.set_reachable(False)
        await made.until(lambda feed: not feed.engine_seen)
        await made.until(lambda feed: feed.state.host and not feed.state.host.reachable)
        await made.house.ask(add())
        await asyncio.sleep(60)
        lost = [r for r in made.house.log.read(before) if r.topic == "host.engine_unreachable"]
        assert lost
        assert len({recorded.data["reason"] for recorded in lost}) == len(lost)
        assert len(made.topics(before)) == len(lost) + 1
        before = made.feed.state.position
        made.world.set_reachable(True)
        await made.until(quiet)
        assert made.topics(before) == ["host.engine_reachable", "agent.observed"]
        assert len(made.things("container")) == 2


@in_virtual_time
async def test_a_loop_that_starts_again_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """Nothing is remembered in the loop: a new one on the same log and engine does the rest, and nothing twice."""
    async with site(tmp_path) as made:
        await made.house.ask(create())
        await made.house.ask(add())
        async with made.reconciling(faults=[Fault("apply", 2, "hang")]):
            await made.until(lambda feed: any(agent.observed for agent in feed.state.agents()))
        assert not made.feed.engine_seen
        async with made.reconciling():
            await made.until(quiet)
            assert made.topics().count("agent.observed") == 2
            assert len(made.things("container")) == 2
        before = made.feed.state.position
        async with made.reconciling():
            await made.until(quiet)
        assert made.topics(before) == []


@in_virtual_time
async def test_everything_rests_and_only_what_ran_comes_back(tmp_path: Path) -> None:
    """A bare stop touches nobody's own intent: after waking, what was stopped before stays stopped."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.house.ask(add())
        await made.house.ask(partial(agents.stop_agent, vibespace="demo", name="claude-2"))
        await made.until(quiet)
        await made.house.ask(host.rest)
        await made.until(quiet)
        assert made.things("container") == []
        await made.house.ask(host.wake)
        await made.until(quiet)
        assert made.things("container") == [bodies.container_name(made.agent().uid)]


@in_virtual_time
async def test_a_change_of_limits_replaces_the_container(tmp_path: Path) -> None:
    """The container that runs in the end was made from the new spec; the volumes are the old ones."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create(cpu="500m"))
        await made.until(quiet)
        volumes = made.things("volume")
        await made.house.ask(partial(change_vibespace, name="demo", spec={"cpu": "2"}, fields=["cpu"]))
        await made.until(quiet)
        [container] = [thing for thing in made.world.things.values() if thing.spec]
        assert container.spec
        assert container.spec.resources.cpu_millis == 2000
        assert made.things("volume") == volumes


@in_virtual_time
async def test_a_repository_is_cloned_once_and_again_when_asked(tmp_path: Path) -> None:
    """A clone that failed is a reason that stays until `start`; then it is tried again, and after that no more."""
    async with site(tmp_path) as made, made.reconciling():
        made.outside.failing = "fatal: unable to access"
        await made.house.ask(create(repo=URL))
        await made.until(in_state(states.State.FAILED, made))
        assert made.state()[1] == "fatal: unable to access"
        await asyncio.sleep(600)
        assert len(made.outside.clones) == 1
        made.outside.failing = ""
        await made.house.ask(start())
        await made.until(in_state(states.State.RUNNING, made))
        await asyncio.sleep(600)
        assert made.outside.clones == [(made.agent().uid, URL, "/vibespace/project", "")] * 2
        assert made.feed.state.vibespace("demo").commit == "c" * 40


@in_virtual_time
async def test_a_full_disk_does_not_end_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be recorded the loop goes on trying; with room again everything is as it should be."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        run, refused = type(made.house.writer).run, 0

        async def full(*_: Any) -> Any:
            nonlocal refused
            refused += 1
            raise Exhausted("DISK_FULL", "The disk is full.")

        monkeypatch.setattr(type(made.house.writer), "run", full)
        made.world.set_reachable(False)
        await made.until(lambda feed: not feed.engine_seen)
        made.world.things.clear()
        made.world.set_reachable(True)
        await made.until(lambda feed: feed.engine_seen)
        await asyncio.sleep(30)
        assert refused > 2
        monkeypatch.setattr(type(made.house.writer), "run", run)
        await made.until(lambda feed: made.agent().observed == "failed")
        await made.until(quiet)
        assert len(made.things("container")) == 1
