"""The daemon, with how many asyncio tasks it has written to `tasks` of the state directory, again and again.

Requests and deletions it remembers for a minute in place of a day: else all of a run would be remembered, and grow.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from vibespace.app import live
from vibespace.daemon import __main__ as daemon
from vibespace.state import state

EVERY = 0.2
"""Seconds."""
REMEMBERED = timedelta(minutes=1)


class CountingDaemon(daemon.Daemon):
    async def run(self, ready_fd: int | None) -> None:
        counting = asyncio.create_task(_count())
        try:
            await super().run(ready_fd)
        finally:
            counting.cancel()


async def _count() -> None:
    found, new = state().home / "tasks", state().home / "tasks.new"
    while True:
        new.write_text(str(len(asyncio.all_tasks())))
        os.replace(new, found)  # whoever reads finds a whole number
        await asyncio.sleep(EVERY)


if __name__ == "__main__":
    vars(live)["REMEMBERED"] = REMEMBERED
    vars(daemon)["Daemon"] = CountingDaemon
    sys.exit(daemon.main())
