"""Reads the whole log again and again, slowly, because a start that has a checkpoint does not."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from vibespace.app.audit import CUT_OFF, Damage
from vibespace.app.feed import Feed
from vibespace.app.log import Log

_SHARE = 0.05
"""Of one processor, for the check that nobody asked for."""
_AGAIN = 24 * 3600
"""Seconds from one to the next."""
_LATER = 60
"""Seconds to the next after one that could not be done."""

_log = logging.getLogger(__name__)


@dataclass
class Report:
    """What a look at the log has found."""

    position: int = 0
    """Everything up to here was looked at."""
    damages: list[Damage] = field(default_factory=list)
    more: int = 0
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))


class Auditor:
    """`last` is what the newest look has found; None before the first was done."""

    def __init__(self, feed: Feed, log: Log) -> None:
        self._feed = feed
        self._log = log
        self.last: Report | None = None

    async def run(self) -> None:
        """For as long as the daemon lives. What keeps it from reading, such as no file to be had, ends nothing."""
        while True:
            try:
                await self.examine(_SHARE)
                pause = _AGAIN
            except Exception:  # a look is a help: whatever spoils it, the daemon serves on
                _log.warning("the log could not be looked at", exc_info=True)
                pause = _LATER
            await asyncio.sleep(pause)

    async def examine(self, share: float = 1) -> Report:
        """Look at every event that there is now, for at most this share of the time."""
        audit, until = self._log.audit(), self._feed.state.position
        more = True
        while more:
            begun = monotonic()
            more = await asyncio.to_thread(self._log.examine, audit, until)
            await asyncio.sleep((monotonic() - begun) * (1 / share - 1))
        damages = await asyncio.to_thread(audit.finish)
        self.last = Report(until, damages, audit.more)
        return self.last

    def lost(self) -> list[Damage]:
        """The end of the log, if it is known to have been another."""
        if (lost := self._log.lost(self._feed.log_id)) is None:
            return []
        text = f"Event {lost.position} was written, and is not there; those before it may have gone with it."
        return [Damage(lost.position, CUT_OFF, text)]
