"""A daemon for each test, initialized, on an engine in memory (it costs about 60 ms)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.daemon.running import Running, create, quiet, serving
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
