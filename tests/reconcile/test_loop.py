"""The loop on the fake engine: what is asked becomes what is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.app.house import add, create, delete, start, stop
from tests.daemon.running import quiet
from tests.reconcile.site import in_state, site
from tests.reconcile.virtual import in_virtual_time
from vibespace.app import agents, host
from vibespace.app.vibespaces import change_vibespace
from vibespace.app.writer import Command
from vibespace.domain import states
from vibespace.engine import bodies
from vibespace.engine.base import AgentSpec, Snapshot
from vibespace.engine.fake import FakeEngine


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
async def test_a_start_right_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an engine that is slow to tell still shows of the stopped container is not taken for the one asked for."""
    watch = FakeEngine.watch

    async def late(engine: FakeEngine) -> AsyncIterator[Snapshot]:
        async for snapshot in watch(engine):
            await asyncio.sleep(2)
            yield snapshot

    monkeypatch.setattr(FakeEngine, "watch", late)
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        before = made.feed.state.position
        # Something else happens, so that a Snapshot is under way which shows what is stopped next.
        await made.house.ask(create("other"))
        await made.until(lambda _: len(made.things("container")) == 2)
        await made.house.ask(stop())
        await asyncio.sleep(1)
        assert len(made.things("container")) == 1
        await made.house.ask(start())
        await made.until(lambda feed: quiet(feed) and made.state() == (states.State.RUNNING, ""))
        assert len(made.things("container")) == 2
        uid = made.agent().id
        seen = [e.data["state"] for e in made.house.log.read(before) if e.uid == uid and e.topic == "agent.observed"]
        assert seen == ["stopped", "running"]


@in_virtual_time
async def test_a_start_right_after_a_stop_of_what_was_not_seen_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that is shown of a container is older than its end: the next one is not said to run because of it, nor
    to be gone.
    """
    watch, apply = FakeEngine.watch, FakeEngine.apply

    async def late(engine: FakeEngine) -> AsyncIterator[Snapshot]:
        async for snapshot in watch(engine):
            await asyncio.sleep(2)
            yield snapshot

    async def slow(engine: FakeEngine, spec: AgentSpec) -> None:
        if spec.running and seen():
            await asyncio.sleep(2)
        await apply(engine, spec)

    monkeypatch.setattr(FakeEngine, "watch", late)
    async with site(tmp_path) as made, made.reconciling():

        def seen() -> list[str]:
            return [e.data["state"] for e in made.house.log.read(0) if e.topic == "agent.observed"]

        await made.until(quiet)
        monkeypatch.setattr(FakeEngine, "apply", slow)
        await made.house.ask(create())
        await asyncio.sleep(0.5)
        assert len(made.things("container")) == 1
        await made.house.ask(stop())
        await made.until(in_state(states.State.STOPPED, made))
        await made.house.ask(start())
        await made.until(lambda feed: quiet(feed) and made.state() == (states.State.RUNNING, ""))
        await asyncio.sleep(10)
        assert seen() == ["stopped", "running"]


@pytest.mark.parametrize("moment", [0, 0.5, 1.5, 2.5])
@pytest.mark.parametrize(
    ("resting", "begin", "end"),
    [
        pytest.param([], create(), stop(), id="create"),
        pytest.param([create(), stop()], start(), stop(), id="start"),
        pytest.param([create(), host.rest], host.wake, host.rest, id="wake"),
    ],
)
@in_virtual_time
async def test_a_stop_amid_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resting: list[Command], begin: Command, end: Command, moment: float
) -> None:
    """Whenever after a start it comes: what is told as stopped has no container, though the engine takes a second to
    start one, and another to show it.
    """
    watch, apply = FakeEngine.watch, FakeEngine.apply

    async def late(engine: FakeEngine) -> AsyncIterator[Snapshot]:
        async for snapshot in watch(engine):
            await asyncio.sleep(1)
            yield snapshot

    async def slow(engine: FakeEngine, spec: AgentSpec) -> None:
        if spec.running:
            await asyncio.sleep(1)
        await apply(engine, spec)

    monkeypatch.setattr(FakeEngine, "watch", late)
    monkeypatch.setattr(FakeEngine, "apply", slow)
    async with site(tmp_path) as made, made.reconciling():
        await made.until(quiet)
        for command in resting:
            await made.house.ask(command)
            await made.until(quiet)
        await made.house.ask(begin)
        await asyncio.sleep(moment)
        await made.house.ask(end)
        await made.until(in_state(states.State.STOPPED, made))
        assert made.things("container") == []
        await made.until(quiet)
        assert made.things("container") == []


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
