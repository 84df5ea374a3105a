"""Which agents have a driver, and what becomes of those whose driver fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.app.house import create
from tests.app.talking import say
from tests.daemon.running import quiet
from tests.reconcile.journal import tools
from tests.reconcile.site import site
from tests.reconcile.virtual import in_virtual_time
from vibespace.domain.messages import FAILED, Message
from vibespace.reconcile.drivers import Drivers


class Broken:
    """The way to a program, that has a defect."""

    def __init__(self) -> None:
        self.tries = 0

    async def attach(self, agent_uid: str, after: tuple[int, int], directory: str) -> None:
        self.tries += 1
        raise ValueError(f"{agent_uid} cannot be")


@in_virtual_time
async def test_who_waits_for_what_cannot_be_driven_is_told(tmp_path: Path) -> None:
    """After some tries, however the defect is called."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        broken = Broken()
        driving = asyncio.create_task(Drivers(tools(made.house, tmp_path, programs=broken)).run())
        said = await made.house.ask(say())
        async with asyncio.timeout(60):
            await made.until(lambda feed: said.uid in feed.state.gone)
        driving.cancel()
        await asyncio.wait([driving])
        over = made.feed.state.gone[said.uid].aggregate
        assert isinstance(over, Message)
        assert (over.state, over.reason) == (FAILED, "the daemon met a defect of its own with its program")
        assert broken.tries == 3
