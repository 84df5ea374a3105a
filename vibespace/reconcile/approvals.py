"""Denies what nobody has decided in its time: one timer, for what runs out next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial

from vibespace.app import approvals
from vibespace.app.feed import Feed
from vibespace.app.writer import Request, Writer
from vibespace.domain.approvals import Approval
from vibespace.errors import Error, NotFound

_LONGEST = 60.0
"""Seconds that the timer runs at once: deadlines are by the clock on the wall, which goes on while a machine sleeps and
may be set, and the timer's does neither."""
_PAUSE = 5.0
"""Seconds until a denial that could not be recorded is tried again."""

_log = logging.getLogger(__name__)


class Timeouts:
    """Of all agents. Drivers tell programs of such a denial as they do of a person's."""

    def __init__(self, feed: Feed, writer: Writer, now: Callable[[], datetime]) -> None:
        self._feed = feed
        self._writer = writer
        self._now = now

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = 0.0 if await self._deny() else _PAUSE
            with suppress(TimeoutError):
                async with asyncio.timeout(self._left(pause)):
                    await self._feed.news()

    async def _deny(self) -> bool:
        """What is over its time; whether that is on record."""
        now = self._now()
        for approval in [each for deadline, each in self._waiting() if deadline <= now]:
            late = partial(approvals.time_out, uid=approval.id, agent_uid=approval.agent_uid)
            try:
                await self._writer.run(late, Request("daemon"))
            except NotFound:
                pass  # nobody waits for it any more
            except Error as e:
                _log.warning("the denial of %s is not recorded: %s", approval.uid, e.message)
                return False
        return True

    def _left(self, pause: float) -> float | None:
        """Seconds until the next is over its time, and `pause` at least; None while nothing runs out."""
        deadline = min((deadline for deadline, _ in self._waiting()), default=None)
        if deadline is None:
            return None
        return min(max((deadline - self._now()).total_seconds(), pause), _LONGEST)

    def _waiting(self) -> Iterator[tuple[datetime, Approval]]:
        for of_agent in self._feed.state.approvals.values():
            for approval in of_agent.values():
                if deadline := approval.deadline:
                    yield deadline, approval
