"""Keeps beside the log what spares the next start most of it, and what shows later that its end is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vibespace.app.feed import Feed
from vibespace.app.head import Head
from vibespace.app.log import Log

EVERY = 10_000
"""Events from one checkpoint to the next: so many, or half a second's work, a start may have to fold."""
_PAUSE = 1.0
"""Seconds between two heads: what was written in the last second of a daemon that was killed, no head tells of."""

_log = logging.getLogger(__name__)


class Checkpointer:
    """Works in threads of its own, so that neither writer nor callers wait for it."""

    def __init__(self, feed: Feed, log: Log) -> None:
        self._feed = feed
        self._log = log
        self._told = 0

    async def run(self) -> None:
        """For as long as the daemon lives."""
        while True:
            while self._feed.state.position == self._told:
                await self._feed.news()
            await self._write(EVERY)
            await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """Once more, for all that was written."""
        await self._write(1)

    async def _write(self, least: int) -> None:
        """The head, and the checkpoint when it is `least` events old."""
        feed, log = self._feed, self._log
        self._told, hash = feed.state.position, feed.hash
        await _in_thread(lambda: log.write_head(Head(feed.log_id, self._told, hash)))
        if self._told - log.checkpointed >= least and not log.reserve.short:  # which is not for this
            state = feed.state.copy()
            await _in_thread(lambda: log.write_checkpoint(state, hash))


async def _in_thread(work: Callable[[], None]) -> None:
    """What cannot be written is made anew when it is needed: no full disk, nor anything else, is a reason to end."""
    try:
        await asyncio.to_thread(work)
    except Exception as e:  # whatever it is: it is a help, not a duty
        _log.debug("not written: %s", e)
