"""The look at the log that nobody asks for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.app.house import House, create
from vibespace.app.log import Log
from vibespace.daemon import auditor
from vibespace.daemon.auditor import Auditor


async def test_what_keeps_it_from_reading_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that fails, here for want of files, is taken again later; the daemon goes on meanwhile."""
    house = House(tmp_path / "events.db")
    await house.open()
    await house.ask(create())
    examine, failed = Log.examine, asyncio.Event()

    def without_files(self: Log, *more: Any) -> bool:
        if not failed.is_set():
            loop.call_soon_threadsafe(failed.set)
            raise OSError(24, "Too many open files")
        return examine(self, *more)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(Log, "examine", without_files)
    monkeypatch.setattr(auditor, "_LATER", 0)
    looking = Auditor(house.feed, house.log)
    running = asyncio.create_task(looking.run())
    await failed.wait()
    while looking.last is None:
        assert not running.done()
        await asyncio.sleep(0)
    assert (looking.last.position, looking.last.damages) == (house.feed.state.position, [])
    running.cancel()
    await house.close()
