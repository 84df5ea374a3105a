"""Time-outs of approvals: one timer, on a house whose clock the tests move or whose time passes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tests.app.house import Clock, House, add, create
from tests.app.talking import decide, line, program_started, set_timeout
from tests.reconcile.virtual import in_virtual_time
from vibespace.app.writer import Command, Outcome, Request, Writer
from vibespace.domain.approvals import ALLOWED, ASKED, DECIDED, DENIED, Approval
from vibespace.errors import Exhausted
from vibespace.reconcile.approvals import Timeouts

WHOSE = ("demo", "claude-1")
OTHER = ("demo", "claude-2")


class Passing(Clock):
    """Goes on with the loop's own time."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._loop = asyncio.get_running_loop()  # the writer's thread has none
        self._begun = self._loop.time()

    def __call__(self) -> datetime:
        return self.now + timedelta(seconds=self._loop.time() - self._begun)


@asynccontextmanager
async def asking(tmp_path: Path, *timeouts: str) -> AsyncIterator[House]:
    """Agents that may wait so long, each with one tool call that waits."""
    house = House(tmp_path / "events.db")
    await house.open()
    try:
        await house.ask(create())
        for _ in timeouts[1:]:
            await house.ask(add())
        for (vibespace, name), timeout in zip((WHOSE, OTHER), timeouts, strict=False):
            await house.ask(set_timeout(vibespace, name, timeout))
            await house.ask(program_started(vibespace, name))
            await house.ask(line(vibespace, name, call("r")))
        yield house
    finally:
        await house.close()


def call(request: str) -> dict[str, Any]:
    return {"kind": "approval_asked", "request": request, "tool": "Bash", "input_hash": "h"}


@asynccontextmanager
async def watched(house: House, writer: Writer | None = None) -> AsyncIterator[None]:
    """The timer runs inside this block, by that clock."""
    task = asyncio.create_task(Timeouts(house.feed, writer or house.writer, house.clock).run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def waiting(house: House, whose: tuple[str, str] = WHOSE) -> list[Approval]:
    return list(house.feed.state.approvals[house.feed.state.agent(*whose).uid].values())


async def until(house: House, holds: Callable[[], object]) -> None:
    async with asyncio.timeout(3600):
        while not holds():
            await house.feed.news()


def verdicts(house: House) -> list[tuple[str, str, str]]:
    """Of all decisions: what, by whom, why."""
    return [
        (recorded.data["verdict"], recorded.body["actor"], recorded.data["reason"])
        for recorded in house.log.read(0)
        if recorded.topic == "approval.decided"
    ]


@in_virtual_time
async def test_what_nobody_decides_in_its_time_is_denied(tmp_path: Path) -> None:
    """When that is over and no sooner, by the daemon, with a reason; what may wait for ever does."""
    async with asking(tmp_path, "10m", "") as house:
        house.clock = house.writer._now = Passing(house.clock())
        async with watched(house):
            await until(house, lambda: waiting(house)[0].state == DECIDED)
        assert verdicts(house) == [(DENIED, "daemon", "nobody decided within 10m")]
        took = waiting(house)[0].modified_on - waiting(house)[0].created_on
        assert timedelta(minutes=10) <= took < timedelta(minutes=11)
        assert [each.state for each in waiting(house, OTHER)] == [ASKED]


async def test_what_ran_out_while_no_daemon_was_there(tmp_path: Path) -> None:
    """It is denied at once; what has time left waits on."""
    async with asking(tmp_path, "10m", "2h") as house:
        house.clock.forward(minutes=30)
        await house.reopen()
        async with watched(house):
            await until(house, lambda: waiting(house)[0].state == DECIDED)
        assert verdicts(house) == [(DENIED, "daemon", "nobody decided within 10m")]
        assert [each.state for each in waiting(house, OTHER)] == [ASKED]


async def test_a_clock_that_was_moved(tmp_path: Path) -> None:
    """Whatever happens next has the clock looked at, be the timer's time over or not."""
    async with asking(tmp_path, "1h") as house, watched(house):
        await house.ask(line(*WHOSE, {"kind": "work_ended"}))
        house.clock.forward(hours=1)
        assert verdicts(house) == []
        await house.ask(line(*WHOSE, {"kind": "work_ended"}))
        await until(house, lambda: waiting(house)[0].state == DECIDED)


async def test_who_is_in_time_decides(tmp_path: Path) -> None:
    """Then nothing runs out, however late it is."""
    async with asking(tmp_path, "10m", "10m") as house:
        await house.ask(decide(*WHOSE, ALLOWED))
        house.clock.forward(minutes=10)
        async with watched(house):
            await until(house, lambda: waiting(house, OTHER)[0].state == DECIDED)
        assert [verdict for verdict, _, _ in verdicts(house)] == [ALLOWED, DENIED]


class Full:
    """A writer on a full disk, so often; then as the other."""

    def __init__(self, writer: Writer, times: int) -> None:
        self._writer = writer
        self.times = times

    async def run(self, command: Command, request: Request) -> Outcome:
        if self.times:
            self.times -= 1
            raise Exhausted("DISK_FULL", "The disk is full: nothing was recorded.")
        return await self._writer.run(command, request)


@in_virtual_time
async def test_a_denial_that_cannot_be_recorded_is_tried_again(tmp_path: Path) -> None:
    """After a pause, until there is room."""
    async with asking(tmp_path, "10m") as house:
        house.clock.forward(minutes=10)
        full, begun = Full(house.writer, 3), asyncio.get_running_loop().time()
        async with watched(house, cast(Writer, full)):
            await until(house, lambda: waiting(house)[0].state == DECIDED)
        assert full.times == 0
        assert asyncio.get_running_loop().time() - begun >= 15
