"""What is true now and what just happened, for everyone on the event loop who reads or waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from vibespace.app.index import Wanted
from vibespace.app.live import State
from vibespace.app.log import Log
from vibespace.app.recorder import Recorded
from vibespace.app.writer import Batch
from vibespace.domain import states
from vibespace.errors import Error, FailedPrecondition, at_rest

_RING = 2000
"""Recent events kept in memory, so that followers close to the end never touch the disk. One is 0.7 kB, and 2.4 kB once
it was told; who is further behind reads 10 000 from the disk in 0.2 s, less than it takes to tell them.
"""
_RING_BYTES = 16 << 20
"""What they may take as they are stored: a line of an agent's program is up to 40 KiB."""
_PAGE = 500
EVERYTHING = Wanted()


class Feed:
    """The loop's own State and the newest events; moves on when the writer publishes."""

    def __init__(self, log: Log, state: State) -> None:
        """`state` becomes the feed's own."""
        self.state = state
        self.hash = log.hash
        """Of the newest event."""
        self.engine_seen = False
        """The engine has shown everything at least once since the daemon started, and still answers."""
        self.held: dict[str, Error] = {}
        """Agents, by uid, whose programs wait, and what for: it may take for ever, and nothing of it is in the log."""
        self.heard: set[str] = set()
        """Agents, by uid, whose programs this daemon hears: what the log has of them is so now."""
        self._log = log
        self._ring: deque[Recorded] = deque()
        self._ring_bytes = 0
        self._news = asyncio.Event()
        self._ended = False

    @property
    def log_id(self) -> str:
        """Which log this is."""
        assert self.state.host is not None
        return self.state.host.uid

    @property
    def mood(self) -> tuple[object, ...]:
        """What every resource's state depends on besides the resource: when it changes, all may have changed."""
        host = self.state.host
        why_unseen = host.reason if host and not self.engine_seen else ""
        return self.engine_seen, bool(host and host.resting), why_unseen, tuple(self.held)

    @property
    def at_rest(self) -> bool:
        """A bare `stop` was asked for, and nothing runs any more."""
        state, host = self.state, self.state.host
        return (
            host is not None
            and host.resting
            and all(
                states.agent_state(agent, state.vibespace_of(agent), host) == states.State.STOPPED
                for agent in state.agents()
            )
        )

    def publish(self, batch: Batch) -> None:
        """Take over what was committed, and wake who waits."""
        for change in batch.changes:
            self.state.take(*change)
        self._remember(batch.recorded)
        self.hash = batch.recorded[-1].hash
        self._wake()

    def _remember(self, recorded: Sequence[Recorded]) -> None:
        self._ring.extend(recorded)
        self._ring_bytes += sum(len(one.state) for one in recorded)
        while len(self._ring) > _RING or self._ring_bytes > _RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft().state)

    def engine_is_seen(self, seen: bool) -> None:
        """Note whether what is known of the engine is complete."""
        if seen != self.engine_seen:
            self.engine_seen = seen
            self._wake()

    def hold(self, agent_uid: str, why: Error | None) -> None:
        """Note what that agent's program waits for; None: it goes on."""
        before = self.held.pop(agent_uid, None)
        if why:
            self.held[agent_uid] = why
        if why or before:
            self._wake()

    def hear(self, agent_uid: str, *, heard: bool) -> None:
        """Note whether that agent's program is heard."""
        if heard != (agent_uid in self.heard):
            (self.heard.add if heard else self.heard.remove)(agent_uid)
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """There will be no more news, for everything is at rest. Who waits is told so: else they would take it for a
        daemon that died, and start the next one.
        """
        self._ended = True
        self._wake()

    async def news(self) -> None:
        """Return at the next change. Check what you wait for, then await this, with nothing in between.

        Raises FailedPrecondition AT_REST once there will be none.
        """
        if not self._ended:
            await self._news.wait()
        if self._ended:
            raise at_rest()

    def check(self, log_id: str, position: int) -> int:
        """`position`, if it is one of this log. Raises FailedPrecondition LOG_CHANGED."""
        if (log_id and log_id != self.log_id) or not 0 <= position <= self.state.position:
            raise FailedPrecondition(
                "LOG_CHANGED",
                "That place is not in this daemon's history.",
                hint="Start again without a cursor.",
                log_id=self.log_id,
            )
        return position

    async def events(
        self,
        after: int,
        *,
        follow: bool,
        resumed: bool = False,
        wanted: Wanted = EVERYTHING,
        check: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[tuple[list[Recorded], int]]:
        """Events after position `after`, in order, some at a time, and the place up to which they are all.

        Those of long ago are the `wanted` ones, those of late all. With `follow` it never ends,
        but raises FailedPrecondition AT_REST where `news` does; if `resumed`, also from another daemon than that one.
        Whenever all is told, it raises what `check` does.
        """
        while True:
            while after < self.state.position:
                page, after = await self._select(wanted, after) if wanted else await self._page(after)
                yield page, after
            if not follow:
                return
            if resumed and self.at_rest:
                raise at_rest()
            check()
            await self.news()

    async def _select(self, wanted: Wanted, after: int) -> tuple[list[Recorded], int]:
        if self._recent(after):
            return await self._page(after)
        until = self._ring[0].position - 1 if self._ring else self.state.position
        page = await asyncio.to_thread(self._log.find, wanted, after, until, _PAGE)
        return page, page[-1].position if len(page) == _PAGE else until

    def _recent(self, after: int) -> bool:
        return bool(self._ring) and self._ring[0].position <= after + 1

    async def _page(self, after: int) -> tuple[list[Recorded], int]:
        if self._recent(after):
            start = after + 1 - self._ring[0].position
            # By index, which a deque finds from its nearer end: most who follow want only the newest.
            page = [self._ring[i] for i in range(start, min(start + _PAGE, len(self._ring)))]
        else:
            # What is on disk and not yet published is nobody's to know: its position would be refused as a cursor.
            page = await asyncio.to_thread(self._log.read, after, min(_PAGE, self.state.position - after))
        return page, page[-1].position
