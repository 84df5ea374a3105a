"""How what `uninstall --keep-data` has left comes back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from vibespace.app import agents
from vibespace.app.feed import Feed
from vibespace.app.writer import Request, Writer
from vibespace.domain.agents import RUNNING, STOPPED
from vibespace.domain.states import is_current
from vibespace.errors import Unavailable
from vibespace.launch import data_only, uninstalled
from vibespace.setup import installation
from vibespace.setup.engine import Choice
from vibespace.setup.installation import Installation
from vibespace.state import State


class Installed:
    """Whether vibespace is installed here, as the marker says and is kept saying.

    Until it is, only `init` is answered, and nothing is done: `uninstall --keep-data` has left the data alone.
    """

    def __init__(self, state: State, feed: Feed, writer: Writer) -> None:
        """The log has begun."""
        self._state = state
        self._feed = feed
        self._writer = writer
        self._installed = asyncio.Event()
        if not uninstalled(state):
            self._installed.set()

    @property
    def now(self) -> bool:
        """Whether it is."""
        return self._installed.is_set()

    async def wait(self) -> None:
        """Return once it is."""
        await self._installed.wait()

    def require(self) -> None:
        """Raises FailedPrecondition UNINSTALLED where it is not."""
        if not self.now:
            raise data_only(self._state.home)

    def mark(self) -> None:
        """Have the marker say what is so."""
        with suppress(Unavailable):  # a full disk; the next start writes it
            self._write(uninstalled=not self.now)

    async def initialized(self) -> None:
        """Before `init` is answered: who comes next reads the marker first. Raises Unavailable HOME_NOT_USABLE."""
        if self.now:
            self.mark()
            return
        await _record_stopped(self._feed, self._writer)
        self._write(uninstalled=False)
        self._installed.set()

    def _write(self, *, uninstalled: bool) -> None:
        """Leave for `uninstall` what it must know, also of an installation that is broken by then."""
        host = self._feed.state.host
        assert host is not None
        found = host.engine and Choice(host.engine["brand"], host.engine["address"], bool(host.engine["private"]))
        installation.write(self._state, Installation(self._feed.log_id, found or None, uninstalled=uninstalled))


async def _record_stopped(feed: Feed, writer: Writer) -> None:
    """Have it on record that nothing runs: a container that is merely not there would count as failed."""
    stopped = [
        partial(
            agents.observe_agent,
            vibespace=vibespace.name,
            name=agent.name,
            state=STOPPED,
            generation=agent.generation,
            vibespace_generation=vibespace.generation,
        )
        for agent in feed.state.agents()
        if agent.observed == RUNNING and is_current(agent, vibespace := feed.state.vibespace_of(agent))
    ]
    await asyncio.gather(*(writer.run(each, Request("daemon")) for each in stopped))
