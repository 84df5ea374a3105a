"""Which keys want attention: each at most once at a time, again when woken meanwhile, later after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_FORGIVEN = 120.0
"""Seconds without a failure after which the next one counts as the first."""
_LONGEST = 60.0


_log = logging.getLogger(__name__)


@dataclass
class _Failures:
    count: int
    last: float


class Queue:
    """Runs `step(key)` for woken keys, in tasks of the group it is given."""

    def __init__(self, tasks: asyncio.TaskGroup, step: Callable[[str], Awaitable[bool]]) -> None:
        """`step` returns False when it failed and should be repeated after a pause."""
        self._tasks = tasks
        self._step = step
        self._running: set[str] = set()
        self._dirty: set[str] = set()
        self._failures: dict[str, _Failures] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        """Pauses after failures."""
        self._looks: dict[str, asyncio.TimerHandle] = {}
        """Second looks, which nobody waits for."""
        self._closed = False

    def wake(self, key: str) -> None:
        """Look at `key` now, unless it waits out a pause after a failure."""
        if self._closed or key in self._timers:
            return
        if key in self._running:
            self._dirty.add(key)
            return
        self._running.add(key)
        self._tasks.create_task(self._run(key))

    def hurry(self, key: str) -> None:
        """Look at `key` now, whatever happened before: somebody asked for something new."""
        self._failures.pop(key, None)
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self.wake(key)

    def later(self, key: str, seconds: float) -> None:
        """Look at `key` once more in a while, whatever happens until then."""
        if before := self._looks.pop(key, None):
            before.cancel()
        self._looks[key] = asyncio.get_running_loop().call_later(seconds, self._look, key)

    def _look(self, key: str) -> None:
        del self._looks[key]
        self.wake(key)

    def close(self) -> None:
        """Begin nothing more; to be called before the group ends, which takes no tasks from then on."""
        self._closed = True
        for timer in (*self._timers.values(), *self._looks.values()):
            timer.cancel()
        self._timers.clear()
        self._looks.clear()

    async def _run(self, key: str) -> None:
        good = True
        while good:
            self._dirty.discard(key)
            good = await self._try(key)
            if key not in self._dirty:
                break
        self._running.discard(key)
        if not good and not self._closed:
            self._pause(key)

    async def _try(self, key: str) -> bool:
        try:
            return await self._step(key)
        except Exception:  # a defect met at one key must not stop the others
            _log.exception("%s could not be looked at", key)
            return False

    def _pause(self, key: str) -> None:
        """The first failure is repeated at once; then 0.5 s, doubling to a minute."""
        now = asyncio.get_running_loop().time()
        before = self._failures.pop(key, None)  # so that the newest is last
        count = before.count + 1 if before and now - before.last < _FORGIVEN else 1
        self._failures[key] = _Failures(count, now)
        self._forgive(now)
        delay = 0.0 if count == 1 else min(0.25 * 2 ** min(count - 1, 16), _LONGEST)
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self._resume, key)

    def _forgive(self, now: float) -> None:
        """Drop what no longer counts: the key may be that of something gone."""
        while now - (oldest := next(iter(self._failures.items())))[1].last >= _FORGIVEN:
            del self._failures[oldest[0]]

    def _resume(self, key: str) -> None:
        del self._timers[key]
        self.wake(key)
