"""Which agents have a driver, and what becomes of those whose driver fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.app.house import create
from tests.app.talking import program_started, say
from tests.daemon.running import quiet
from tests.reconcile.journal import record, tools
from tests.reconcile.site import Site, site
from tests.reconcile.virtual import in_virtual_time
from vibespace.app.feed import Feed
from vibespace.domain.messages import FAILED, Message
from vibespace.errors import Exhausted, FailedPrecondition, Unavailable
from vibespace.net.base import Hello, Record
from vibespace.reconcile.drivers import Drivers


class Broken:
    """The way to a program, that has a defect or leads nowhere."""

    def __init__(self, why: Exception) -> None:
        self._why = why
        self.tries: list[float] = []
        """When it was gone."""

    async def attach(self, agent_uid: str, after: tuple[int, int], directory: str) -> None:
        self.tries.append(asyncio.get_running_loop().time())
        raise self._why


class Dying:
    """The way to a runner that is killed soon after it has started a program, each time."""

    LIFE = 5.0

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.begun: list[float] = []
        """When a program was."""
        self.hook = ""
        self.hello = Hello(0, False, (0, 0), (0, 0))

    async def attach(self, agent_uid: str, after: tuple[int, int], directory: str) -> Dying:
        self.begun.append(asyncio.get_running_loop().time())
        place = (len(self.begun), 1)
        self.hello = Hello(place[0], True, place, place)
        return self

    async def records(self) -> AsyncIterator[Record]:
        [conversation] = self._feed.state.conversations.values()
        note = {"note": {"conversation": conversation.uid}}
        yield record("start", 1, json.dumps(note).encode(), epoch=len(self.begun))
        await asyncio.sleep(self.LIFE)
        raise Unavailable("RUNNER_BROKEN", "It was killed.")

    async def write(self, name: str, data: bytes, *, secret: bool = False) -> str:
        return "refused"

    async def close(self) -> None:
        """There is nothing to close."""


@in_virtual_time
async def test_who_waits_for_what_cannot_be_driven_is_told(tmp_path: Path) -> None:
    """After some tries, however the defect is called."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        broken = Broken(ValueError("it cannot be"))
        assert await outcome(made, tmp_path, broken) == "the daemon met a defect of its own with its program"
        assert len(broken.tries) == 3


@in_virtual_time
async def test_who_waits_for_what_is_not_reached_is_told(tmp_path: Path) -> None:
    """After more tries, ever later; the first of them at once."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        broken = Broken(Unavailable("AGENT_UNREACHABLE", "It is not reached."))
        assert await outcome(made, tmp_path, broken) == "It is not reached."
        assert [int(after - before) for before, after in pairwise(broken.tries)] == [0, 1, 5, 20, 20]


@in_virtual_time
async def test_what_waits_for_room_is_not_given_up(tmp_path: Path) -> None:
    """However long: who waits can know, and it goes on by itself when there is some."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        broken = Broken(Exhausted("DISK_FULL", "The disk is full."))
        driving = asyncio.create_task(Drivers(tools(made.house, tmp_path, programs=broken)).run())
        said = await made.house.ask(say())
        await asyncio.sleep(600)
        assert said.uid in made.feed.state.aggregates
        assert [why.reason for why in made.feed.held.values()] == ["DISK_FULL"]
        tried = len(broken.tries)
        await made.house.ask(say())
        await asyncio.sleep(0.01)
        assert len(broken.tries) > tried
        driving.cancel()
        await asyncio.wait([driving])
        assert made.feed.held == {}


@pytest.mark.parametrize(
    "why",
    [
        FailedPrecondition("SECRET_UNREADABLE", "A credential cannot be opened."),
        Unavailable("AGENT_UNREACHABLE", "It is not reached."),
        ValueError("it cannot be"),
    ],
)
@in_virtual_time
async def test_a_living_program_that_is_not_reached_is_tried_ever_later(tmp_path: Path, why: Exception) -> None:
    """It may be reached again, whatever is wrong; until then nobody is kept busy by it."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        await made.house.ask(program_started())
        broken = Broken(why)
        driving = asyncio.create_task(Drivers(tools(made.house, tmp_path, programs=broken)).run())
        await asyncio.sleep(600)
        assert 10 < len(broken.tries) < 50
        assert broken.tries[-1] - broken.tries[-2] > 15
        driving.cancel()
        await asyncio.wait([driving])


@in_virtual_time
async def test_a_way_that_led_somewhere_is_tried_as_if_it_had_never_failed(tmp_path: Path) -> None:
    """However often it breaks: who waits is not told that there is none, and it is begun again at once each time."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        dying = Dying(made.feed)
        driving = asyncio.create_task(Drivers(tools(made.house, tmp_path, programs=dying)).run())
        said = await made.house.ask(say())
        async with asyncio.timeout(600):
            while len(dying.begun) < 12:
                await made.feed.news()
        assert said.uid in made.feed.state.aggregates
        assert {int(after - before) for before, after in pairwise(dying.begun)} == {int(Dying.LIFE)}
        driving.cancel()
        await asyncio.wait([driving])


async def outcome(made: Site, tmp_path: Path, programs: object) -> str:
    """Why a message is not worked on, with that way to programs."""
    driving = asyncio.create_task(Drivers(tools(made.house, tmp_path, programs=programs)).run())
    said = await made.house.ask(say())
    async with asyncio.timeout(600):
        await made.until(lambda feed: said.uid in feed.state.gone)
    driving.cancel()
    await asyncio.wait([driving])
    over = made.feed.state.gone[said.uid].aggregate
    assert isinstance(over, Message)
    assert over.state == FAILED
    return over.reason
