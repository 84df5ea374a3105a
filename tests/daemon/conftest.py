"""A daemon for each test, initialized, on an engine in memory (it costs about 60 ms); or its log and feed alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.app.house import ENGINE, House
from tests.daemon.running import IMAGE, Running, create, quiet, serving
from vibespace.app import host
from vibespace.daemon.auditor import Auditor
from vibespace.daemon.events import EventServicer
from vibespace.engine.fake_world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def daemon(home: Path, world: World) -> AsyncIterator[Running]:
    async with serving(home, world) as running:
        await running.init()
        await running.until(quiet)
        yield running


@pytest.fixture
async def demo(daemon: Running) -> Running:
    """With a vibespace `demo` that runs."""
    await daemon.vibespaces.CreateVibespace(create())
    await daemon.until(quiet)
    return daemon


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Without a daemon: initialized, its engine seen, and a clock of the test's own."""
    opened = House(tmp_path / "events.db")
    await opened.open()
    await opened.ask(lambda transaction: host.initialize(transaction, engine=ENGINE, image=IMAGE))
    await opened.ask(lambda transaction: host.observe_engine(transaction, reason=""))
    opened.feed.engine_is_seen(True)
    yield opened
    await opened.close()


@pytest.fixture
def servicer(house: House) -> EventServicer:
    return EventServicer(house.feed, house.log, Auditor(house.feed, house.log), house.clock)
