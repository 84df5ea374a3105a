"""A daemon for each test, with a vibespace `demo` whose agent is an echo."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.echoing import Talk, echoing, home_of, prepare
from tests.daemon.running import Running
from vibespace.engine.fake_world import World


@pytest.fixture
async def demo(home: Path, world: World) -> AsyncIterator[Running]:
    async with echoing(home, world) as running:
        await prepare(running)
        yield running


@pytest.fixture
def talk(demo: Running) -> Talk:
    return Talk(demo.channel)


@pytest.fixture
def inside(demo: Running, world: World) -> Path:
    """The agent's home."""
    return home_of(demo, world)
