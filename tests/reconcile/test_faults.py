"""The loop when something fails, is refused or lost: the reason is told, and the end is what was asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.app.house import add, create, delete, start, stop
from tests.daemon.running import quiet
from tests.reconcile.site import IMAGE, in_state, site
from tests.reconcile.virtual import in_virtual_time
from vibespace.domain import states
from vibespace.engine import bodies
from vibespace.engine.fake import Fault
from vibespace.errors import Aborted, Exhausted

URL = "https://example.org/a/project.git"


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
        assert all(time >= least for time, least in zip(times, (0, 0.5, 1, 2, 4, 8), strict=True)), times


@in_virtual_time
async def test_a_reason_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why an agent does not start is shown with the hint that the refusal has."""

    def refuse(_: object) -> None:
        raise Aborted("FIREWALL_REFUSED", "the firewall takes no rules", hint="See 'iptables -S' as root.")

    async with site(tmp_path) as made:
        monkeypatch.setattr(made.outside, "prepare", refuse)
        async with made.reconciling():
            await made.house.ask(create())
            await made.until(in_state(states.State.FAILED, made))
            assert made.agent().reason == "the firewall takes no rules. See 'iptables -S' as root."


@in_virtual_time
async def test_a_machine_that_shrank(tmp_path: Path) -> None:
    """An agent that asks for more processors than there are by now shows why it does not start, and comes up when
    there are enough again.
    """
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create(cpu_limit="4"))
        await made.until(quiet)
        await made.house.ask(stop())
        await made.until(quiet)
        made.world.processors = 2
        await made.house.ask(start())
        await made.until(in_state(states.State.FAILED, made))
        assert "there are only 2" in made.state()[1]
        made.world.processors = 4
        await made.until(in_state(states.State.RUNNING, made))


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


@in_virtual_time
async def test_an_engine_that_shows_nothing_is_told(tmp_path: Path) -> None:
    """One that takes the watch and says no word does not answer: that is recorded, and it is asked again."""
    async with site(tmp_path) as made, made.reconciling(faults=[Fault("watch", 1, "hang")]):
        await made.until(lambda feed: feed.state.host and feed.state.host.reason)
        assert made.feed.state.host
        assert made.feed.state.host.reason == "The container engine did not answer in time. See that it runs."
        await made.until(lambda feed: feed.engine_seen and feed.state.host and feed.state.host.reachable)


FAULTS = [
    *(Fault("apply", nth, kind) for nth in (1, 2) for kind in ("fail", "lose", "twice", "hang")),
    *(Fault("delete", nth, kind) for nth in (1, 2) for kind in ("fail", "lose", "twice", "hang")),
    *(Fault("watch", nth, kind) for nth in (1, 2) for kind in ("fail", "twice", "hang")),
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
        async with made.reconciling():
            await made.until(quiet)
            assert made.topics().count("agent.observed") == 2
            assert len(made.things("container")) == 2
        before = made.feed.state.position
        async with made.reconciling():
            await made.until(quiet)
        assert made.topics(before) == []


@in_virtual_time
async def test_a_repository_is_cloned_once_and_again_when_asked(tmp_path: Path) -> None:
    """A clone that failed is a reason that stays until `start`; then it is tried again, and after that no more."""
    async with site(tmp_path) as made, made.reconciling():
        made.outside.failing = "fatal: unable to access"
        await made.house.ask(create(repo=URL))
        await made.until(in_state(states.State.FAILED, made))
        assert made.state()[1] == "fatal: unable to access. Start it again."
        await asyncio.sleep(600)
        assert len(made.outside.clones) == 1
        made.outside.failing = ""
        await made.house.ask(start())
        await made.until(in_state(states.State.RUNNING, made))
        await asyncio.sleep(600)
        assert made.outside.clones == [(made.agent().uid, URL, "/vibespace/project", "", False)] * 2
        assert made.feed.state.vibespace("demo").commit == "c" * 40


@in_virtual_time
async def test_a_full_disk_does_not_end_the_loop(tmp_path: Path) -> None:
    """While nothing can be recorded the loop goes on trying; with room again everything is as it should be."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        refused = 0

        async def full(*_: Any) -> Any:
            nonlocal refused
            refused += 1
            raise Exhausted("DISK_FULL", "The disk is full.")

        with patch.object(type(made.house.writer), "run", full):
            made.world.set_reachable(False)
            await made.until(lambda feed: not feed.engine_seen)
            made.world.things.clear()
            made.world.set_reachable(True)
            await made.until(lambda feed: feed.engine_seen)
            await asyncio.sleep(30)
            assert refused > 2
        await made.until(lambda feed: made.agent().observed == "failed")
        await made.until(quiet)
        assert len(made.things("container")) == 1
