"""What a trial of the isolation means, and what is not tried at all."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import resource
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.app.house import ENGINE, House, create
from tests.daemon.running import Running, refused
from tests.net.answering import HONEST, Answering
from vibespace.app import agents, host
from vibespace.daemon import isolation, trials
from vibespace.daemon.guard import Guard
from vibespace.daemon.isolation import Isolation, Surroundings
from vibespace.daemon.trials import Trial
from vibespace.domain.agents import RUNNING
from vibespace.net import probe
from vibespace.net.base import Seen
from vibespace.net.prober import InsideProber
from vibespace.setup import guard as firewall
from vibespace.v1 import system_pb2 as s

HARDENED = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
HARDENED |= {"NoNewPrivs": "1", "Seccomp": "2", probe.USER_NAMESPACES: "0"}


@pytest.mark.parametrize(
    ("trial", "reached", "severity", "told"),
    [
        (Trial("x", ["a:1", "b:2"]), ["c:3"], s.SEVERITY_OK, "held: x, 2 tried."),
        (Trial("x", ["a:1", "b:2"]), ["b:2"], s.SEVERITY_ERROR, "not held: x: b:2 reached."),
        (Trial("x", ["a:1"], sample=", of 9"), [], s.SEVERITY_OK, "held: x, 1 tried, of 9."),
        (Trial("x", ["a:1"], sample=", of 9"), ["a:1"], s.SEVERITY_ERROR, "not held: x: a:1 reached, of 9."),
        (Trial("x", ["a:1"], excuse="no root"), ["a:1"], s.SEVERITY_WARNING, "not held: x: a:1 reached (no root)."),
        (Trial("x", ["a:1"], excuse="no root"), [], s.SEVERITY_OK, "held: x, 1 tried."),
        (Trial("x", ["a:1"], untried="it is away"), [], s.SEVERITY_WARNING, "not tried: x: it is away."),
        (Trial("x", []), [], s.SEVERITY_WARNING, "not tried: x: there is nothing to try it on."),
    ],
)
def test_what_was_reached_is_judged(
    trial: Trial, reached: Sequence[str], severity: s.Severity.ValueType, told: str
) -> None:
    """What ought to hold and does not is an error, what cannot a warning with the reason; nothing tried is no yes."""
    found = trials.judge("isolation of demo", trial, reached)
    assert (found.severity, found.message) == (severity, told)
    assert bool(found.hint) == (severity == s.SEVERITY_ERROR)


@pytest.mark.parametrize(
    ("sudo", "other", "severity"),
    [
        (False, {}, s.SEVERITY_OK),
        (False, {"CapBnd": "00000000a80425fb"}, s.SEVERITY_ERROR),
        (False, {"NoNewPrivs": "0"}, s.SEVERITY_ERROR),
        (True, {"CapBnd": "00000000a80425fb", "NoNewPrivs": "0"}, s.SEVERITY_OK),
        (True, {"Seccomp": "0"}, s.SEVERITY_ERROR),
    ],
)
def test_powers_are_those_of_the_profile(sudo: bool, other: dict[str, str], severity: s.Severity.ValueType) -> None:
    """With sudo there is a way up, which goes no further than the filter of system calls lets it."""
    seen = Seen((), (), (), HARDENED | other)
    assert trials.powers("isolation of demo", seen, sudo=sudo).severity == severity
    assert trials.powers("isolation of demo", Seen((), (), (), {}), sudo=sudo).severity == s.SEVERITY_ERROR


@pytest.mark.parametrize(
    ("told", "brand", "severity", "verdict"),
    [
        ("0", "podman", s.SEVERITY_OK, "held"),
        ("0", "docker", s.SEVERITY_OK, "held"),
        ("1", "podman", s.SEVERITY_WARNING, "not held"),
        ("1", "docker", s.SEVERITY_ERROR, "not held"),
        ("unknown", "docker", s.SEVERITY_WARNING, "not tried"),
    ],
)
def test_user_namespaces_are_judged_by_the_engine(
    told: str, brand: str, severity: s.Severity.ValueType, verdict: str
) -> None:
    """What Podman allows and Docker refuses is a warning on Podman, and an error on Docker."""
    found = trials.namespaces("isolation of demo", Seen((), (), (), {probe.USER_NAMESPACES: told}), brand)
    assert (found.severity, found.message.partition(":")[0]) == (severity, verdict)


@pytest.mark.parametrize(
    ("host", "port", "opened"),
    [("10.0.0.7", 5432, True), ("10.0.0.7", 80, False), ("10.1.0.7", 5432, False), ("fe80::1%eth0", 5432, False)],
)
def test_what_was_opened_is_not_tried(host: str, port: int, opened: bool) -> None:
    """network.allow is no hole."""
    assert trials.is_opened((host, port), ["::/0:22", "10.0.0.0/24:5432"]) is opened


async def test_a_vibespace_without_isolation_is_refused(demo: Running) -> None:
    """Nobody is told of the whole machine who asked of one vibespace."""
    error = await refused(demo.system.Diagnose(s.DiagnoseRequest(parent="vibespaces/demo")))
    assert (error.reason, error.field) == ("ISOLATION_NOT_ASKED", "parent")


async def test_a_fake_engine_proves_nothing(demo: Running) -> None:
    """Nothing that cannot be tried is told as if it held."""
    error = await refused(demo.system.Diagnose(s.DiagnoseRequest(isolation=True)))
    assert error.reason == "ENGINE_FAKE"


PODMAN = ENGINE | {"brand": "podman", "address": "/x", "rootless": True}


class Neighbourhood:
    """Vibespaces that run, one agent each, at 10.0.0.1 and on, which answer as they like."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.addresses = ["192.0.2.1"]
        """Of this machine."""
        self.located: dict[str, list[str]] = {}
        """By vibespace where the engine says that it is, if not where it is."""
        self.lies: dict[str, Callable[[Any], bytes | None]] = {}
        self.asked: dict[str, list[tuple[str, int]]] = {}
        """By vibespace the targets that it was told to try."""

    async def move_in(self, count: int) -> None:
        await self._house.ask(partial(host.initialize, engine=PODMAN, image="i"))
        self._house.feed.engine_is_seen(True)
        for number in range(1, count + 1):
            name = f"n{number:03}"
            await self._house.ask(create(name))
            seen: dict[str, Any] = {"state": RUNNING, "generation": 1, "vibespace_generation": 1}
            await self._house.ask(partial(agents.observe_agent, vibespace=name, name="claude-1", **seen))

    def _name(self, uid: str) -> str:
        [name] = [agent.vibespace for agent in self._house.feed.state.agents() if agent.uid == uid]
        return name

    async def _locate(self, uids: Collection[str]) -> dict[str, list[str]]:
        return {uid: self.located.get(name, [f"10.0.0.{int(name[1:])}"]) for uid in uids if (name := self._name(uid))}

    def _answer(self, uid: str, asked: Any) -> bytes | None:
        name = self._name(uid)
        self.asked[name] = [(address, port) for address, port in asked["targets"]]
        if name in self.lies:
            return self.lies[name](asked)
        mine = {"reached": [["127.0.0.1", 2222]], "powers": HARDENED}
        return json.dumps(HONEST | mine | {"loopback": [["10.0.0.254", port] for port in asked["loopback"]]}).encode()

    async def examine(self) -> dict[str, list[str]]:
        """What is told of each."""
        feed = self._house.feed
        guard = Guard(feed, firewall, lambda found: found.name, lambda _name: True)
        here = Surroundings(lambda: self.addresses, list, lambda _targets: [], lambda: ["/x"])
        found: dict[str, list[str]] = {}
        for each in await Isolation(feed, guard, InsideProber(Answering(self._answer)), self._locate, here).examine(""):
            found.setdefault(each.subject.removeprefix("isolation of "), []).append(each.message)
        return found

    def names(self) -> set[str]:
        return {*self._house.feed.state.vibespaces}

    def hang(self, names: Sequence[str], together: int, then: Callable[[], None]) -> None:
        """None of `names` answers; whenever as many of them as `together` were asked, `then` is called."""
        asked = itertools.count(1)

        def hangs(_asked: Any) -> None:
            if next(asked) % together == 0:
                asyncio.get_running_loop().call_soon(then)

        self.lies |= dict.fromkeys(names, hangs)

    def others(self, name: str) -> set[str]:
        """Whom it was told to try."""
        return {address for address, port in self.asked[name] if port == 2222 and address != "127.0.0.1"}


@pytest.fixture
async def neighbourhood(tmp_path: Path) -> AsyncIterator[Neighbourhood]:
    house = House(tmp_path / "events.db")
    await house.open()
    yield Neighbourhood(house)
    await house.close()


LIES: list[dict[str, Any]] = [
    {},
    {"loopback": [["\ud800", 1]]},
    {"reached": [["127.0.0.1", 2222]], "powers": {"CapEff": "\ud800"}},
    {"reached": [["127.0.0.1", 2222], [[], 1]]},
    {"opened": {"/x": 1}},
]


@pytest.mark.parametrize("lie", [*(json.dumps(HONEST | each).encode() for each in LIES), b"", b"[" * 16000, b"1e999"])
async def test_who_lies_is_alone_with_it(neighbourhood: Neighbourhood, lie: bytes) -> None:
    """It is told as not tried; the others are examined."""
    await neighbourhood.move_in(3)
    neighbourhood.lies["n003"] = lambda _asked: lie
    found = await neighbourhood.examine()
    assert [each.partition(": ")[0] for each in found["n003"]] == ["not tried"]
    assert found["n001"][0] == "held: this machine's addresses, 1 tried."
    assert "held: other vibespaces, 2 tried." in found["n001"]


async def test_the_engine_says_where_others_are(neighbourhood: Neighbourhood) -> None:
    """Not they: one that names the place of another agent of n001, which that may reach, is not believed."""
    await neighbourhood.move_in(2)
    beside = ["127.0.0.1", 2222], ["10.0.0.101", 2222]
    mine = {"addresses": ["10.0.0.101"], "reached": beside, "powers": HARDENED}
    for name in ("n001", "n002"):
        neighbourhood.lies[name] = lambda _asked: json.dumps(HONEST | mine).encode()
    found = await neighbourhood.examine()
    assert "held: other vibespaces, 1 tried." in found["n001"]
    assert (neighbourhood.others("n001"), neighbourhood.others("n002")) == ({"10.0.0.2"}, {"10.0.0.1"})


async def test_where_nobody_else_is_found_is_not_held(neighbourhood: Neighbourhood) -> None:
    """Others that run, and of which the engine tells no address, are not nobody."""
    await neighbourhood.move_in(2)
    neighbourhood.located["n002"] = []
    found = await neighbourhood.examine()
    assert "not tried: other vibespaces: the engine tells no address of another." in found["n001"]
    assert "held: other vibespaces, 1 tried." in found["n002"]


async def test_an_engine_that_does_not_say_keeps_nobody(
    neighbourhood: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else is tried."""
    await neighbourhood.move_in(2)
    passing = Clock(monkeypatch)

    async def hang(_uids: Collection[str]) -> dict[str, list[str]]:
        asyncio.get_running_loop().call_soon(passing.pass_by, isolation._SECONDS)
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(neighbourhood, "_locate", hang)
    found = await neighbourhood.examine()
    assert "not tried: other vibespaces: the engine tells no address of another." in found["n001"]
    assert "held: this machine's addresses, 1 tried." in found["n001"]


async def test_who_hangs_keeps_others_for_a_while_only(
    neighbourhood: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes after many that hang, and cannot even be ended, has its turn when their time is over."""
    await neighbourhood.move_in(2 * isolation._AT_ONCE + 1)
    *hanging, last = sorted(neighbourhood.names())
    passing = Clock(monkeypatch)
    neighbourhood.hang(hanging, isolation._AT_ONCE, lambda: passing.pass_by(isolation._SECONDS))
    found = await neighbourhood.examine()
    late = "not tried: anything: it did not answer within 15 seconds."
    assert [found[name] for name in hanging] == [[late]] * len(hanging)
    assert "held: other vibespaces, 16 tried." in found[last]


async def test_what_was_not_tried_in_time_is_told(
    neighbourhood: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All together take no longer than is allowed, however many hang; those that had answered by then count."""
    await neighbourhood.move_in(4 * isolation._AT_ONCE)
    first, *hanging = sorted(neighbourhood.names())
    passing = Clock(monkeypatch)
    monkeypatch.setattr(isolation, "_SECONDS", 2 * isolation._IN_ALL)
    neighbourhood.hang(hanging, isolation._AT_ONCE, lambda: passing.pass_by(isolation._IN_ALL))
    found = await neighbourhood.examine()
    late = "not tried: anything: all together took more than 180 seconds."
    assert [found[name] for name in hanging] == [[late]] * len(hanging)
    assert "held: other vibespaces, 16 tried, in 16 of 31." in found[first]


async def test_of_many_a_sample_is_tried(neighbourhood: Neighbourhood) -> None:
    """16 neighbours, each tried by 16, and 48 addresses, those first that lead here from anywhere; which is told."""
    neighbourhood.addresses = [*(f"fe80::{i}%eth0" for i in range(60)), *(f"192.168.0.{i}" for i in range(1, 31))]
    await neighbourhood.move_in(20)
    found = await neighbourhood.examine()
    assert "held: other vibespaces, 16 tried, in 16 of 19." in found["n007"]
    assert "held: this machine's addresses, 48 tried, of 90." in found["n007"]
    assert {len(neighbourhood.others(name)) for name in found} == {16}
    tried = [address for name in found for address in neighbourhood.others(name)]
    assert {tried.count(f"10.0.0.{number}") for number in range(1, 21)} == {16}
    assert {f"192.168.0.{i}" for i in range(1, 31)} <= {address for address, _ in neighbourhood.asked["n007"]}


async def test_no_more_is_asked_than_is_tried_at_once(neighbourhood: Neighbourhood) -> None:
    """However many addresses the neighbours have, and however many ways lead to the loopback."""
    neighbourhood.addresses = [f"192.168.0.{i}" for i in range(1, 61)]
    await neighbourhood.move_in(20)
    for number in range(2, 21):
        neighbourhood.located[f"n{number:03}"] = [f"10.0.{number}.{i}" for i in range(9)]
    await neighbourhood.examine()
    assert len(neighbourhood.others("n001")) == 64
    private = 1 + 2 * 3
    assert len(neighbourhood.asked["n001"]) + private + probe.LOOPBACK <= probe.AT_ONCE


async def test_many_listen_in_their_turn(neighbourhood: Neighbourhood) -> None:
    """With fewer descriptors left than half of the vibespaces would need together."""
    await neighbourhood.move_in(60)
    with descriptors_left(60):
        found = await neighbourhood.examine()
    assert len(found) == 60


class Clock:
    """That of the event loop, which goes as usual, and is put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._passed = 0.0
        loop = asyncio.get_running_loop()
        usual = loop.time
        monkeypatch.setattr(loop, "time", lambda: usual() + self._passed)

    def pass_by(self, seconds: float) -> None:
        """So many seconds at once."""
        self._passed += seconds


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """The next `count` and no more, until the block ends."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {*map(int, os.listdir("/proc/self/fd"))}
    free = (number for number in itertools.count() if number not in used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, count, None)), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
