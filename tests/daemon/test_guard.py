"""What the daemon holds the firewall to, and what `info` and `doctor` say where that cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from functools import partial
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.app.house import ENGINE, House, create, delete, deleted
from vibespace.app import agents, host
from vibespace.daemon.guard import Guard
from vibespace.domain.agents import RUNNING
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import Aborted
from vibespace.v1.system_pb2 import SEVERITY_OK, SEVERITY_WARNING

PODMAN = ENGINE | {"brand": "podman", "address": "/x"}
ALLOWED = ["10.0.0.0/8:80", "fd00::/8:443"]


class Rules:
    """A firewall that notes what it is asked to hold."""

    def __init__(self) -> None:
        self.held: list[set[tuple[str, str]]] = []
        self.heard: Queue[set[tuple[str, str]]] = Queue()
        self.refusal: Exception | None = None
        self.why = ""

    def hold(self, owner: str, allowed: Collection[tuple[str, str]]) -> None:
        self.held.append(set(allowed))
        self.heard.put(set(allowed))
        if self.refusal:
            raise self.refusal

    def impossible(self) -> str:
        return ""

    def missing(self) -> str:
        return self.why

    async def next(self) -> set[tuple[str, str]]:
        """What it is asked to hold next."""
        return await asyncio.to_thread(self.heard.get, timeout=20)


def bridge(found: Vibespace) -> str:
    return f"vs-{found.name}"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "events.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def guard(house: House, rules: Rules) -> Guard:
    return Guard(house.feed, rules, bridge, lambda name: name != "vs-elsewhere")


async def initialize(house: House, **engine: Any) -> None:
    await house.ask(partial(host.initialize, engine=PODMAN | engine, image="i"))


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"brand": "fake"}, "the engine is fake, and its agents are processes of this machine"),
        ({"rootless": True}, "only root can guard this machine, and the engine runs without root"),
    ],
)
async def test_where_it_cannot_be(house: House, guard: Guard, rules: Rules, engine: Any, said: str) -> None:
    """Nothing is asked of the firewall, and `info` and `doctor` say why."""
    await initialize(house, **engine)
    await house.ask(create())
    guard.hold()
    assert rules.held == []
    assert await told(house, guard) == (False, said)


@pytest.mark.parametrize("engine", [{"rootless": True}, {"brand": "fake"}])
async def test_where_no_network_is_closed(house: House, guard: Guard, engine: Any) -> None:
    """`doctor` does not send anybody to what `create` refuses there, or what closes nothing."""
    await initialize(house, **engine)
    assert "--network none" not in (await guard.finding()).hint


ON_CLUSTER = {"brand": "kubernetes", "address": "https://192.0.2.7:6443/vibespace"}


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"enforces_network_policies": True}, ""),
        (
            {"enforces_network_policies": False},
            "the cluster's network did not enforce NetworkPolicies when 'vibespace init' tried that",
        ),
        ({}, "whether the cluster's network enforces NetworkPolicies was not tried, which 'vibespace init' does"),
    ],
)
@pytest.mark.parametrize("network", ["open", "none"])
async def test_on_a_cluster(house: House, guard: Guard, rules: Rules, engine: Any, said: str, network: str) -> None:
    """What `init` has found out is what holds there, for a closed network too; this machine's firewall has no part."""
    await initialize(house, **ON_CLUSTER, **engine)
    await house.ask(create(network=network))
    rules.why = "its rules have gone"
    guard.hold()
    assert rules.held == []
    assert await told(house, guard) == (not said, said)
    assert await guard.excuse(house.feed.state.vibespace("demo")) == said


@pytest.mark.parametrize(("engine", "said"), [({}, True), ({"private": True}, False)])
async def test_a_machine_that_is_none_of_the_clusters(house: House, guard: Guard, engine: Any, said: bool) -> None:
    """Nobody promised that it is not reached; one that is the cluster has been promised that."""
    await initialize(house, **ON_CLUSTER, **engine)
    assert bool(guard.stranger()) is said


async def test_before_init(guard: Guard, rules: Rules) -> None:
    """Nothing is asked of the firewall, for nobody knows yet whose networks there will be."""
    guard.hold()
    assert rules.held == []
    assert "no engine has been chosen" in (await guard.finding()).message


async def test_what_the_firewall_says(house: House, guard: Guard, rules: Rules) -> None:
    """That it is not held, or was refused, is passed on; once it holds that is said."""
    await initialize(house)
    await house.ask(create())
    rules.why = "there is no iptables on this machine"
    assert await told(house, guard) == (False, rules.why)
    rules.why, rules.refusal = "", Aborted("FIREWALL_REFUSED", "it does not take it", hint="Look at it.")
    with pytest.raises(Aborted):
        guard.hold()
    assert await told(house, guard) == (False, "it does not take it. Look at it")
    rules.refusal = None
    guard.hold()
    assert await told(house, guard) == (True, "")
    assert (await guard.finding()).severity == SEVERITY_OK


async def test_an_engine_on_another_machine(house: House, guard: Guard) -> None:
    """The bridge of what runs is not here."""
    await initialize(house)
    await house.ask(create("elsewhere"))
    found = house.feed.state.vibespace("elsewhere")
    assert (await guard.of(found)).held
    [agent] = house.feed.state.agents("elsewhere")
    seen = partial(
        agents.observe_agent,
        vibespace="elsewhere",
        name=agent.name,
        state=RUNNING,
        generation=1,
        vibespace_generation=1,
    )
    await house.ask(seen)
    said = await guard.of(house.feed.state.vibespace("elsewhere"))
    assert (said.held, said.reason) == (False, "its network is not on this machine: the engine is on another")


async def test_what_is_opened_goes_with_its_vibespace(house: House, guard: Guard, rules: Rules) -> None:
    """The firewall has all from the start, what a vibespace is given when it comes, and not what is gone."""
    await initialize(house)
    running = asyncio.create_task(guard.run())
    assert await rules.next() == set()
    await house.ask(create("demo", allow=ALLOWED))
    await house.ask(create("other"))
    assert await rules.next() == {("vs-demo", text) for text in ALLOWED}
    await house.ask(delete("demo"))
    for agent in list(house.feed.state.agents("demo")):
        await house.ask(partial(agents.complete_deletion, vibespace="demo", name=agent.name))
    await house.ask(deleted("demo"))
    assert await rules.next() == set()
    assert len(rules.held) == 3
    running.cancel()
    await asyncio.wait({running})


async def told(house: House, guard: Guard) -> tuple[bool, str]:
    """What both say, which is the same."""
    said, finding = await guard.of(house.feed.state.vibespace("demo")), await guard.finding()
    assert (finding.severity == SEVERITY_WARNING) is not said.held
    assert said.held or f"private networks: {said.reason}." in finding.message
    return said.held, said.reason
