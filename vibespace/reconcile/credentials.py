"""Gives agents their logins for git: again when these change, and when their container is another one."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from weakref import WeakValueDictionary

from vibespace.app import handing
from vibespace.app.feed import Feed
from vibespace.app.vault import Vault
from vibespace.domain.agents import Agent
from vibespace.domain.credentials import GIT, Credential
from vibespace.errors import Unavailable
from vibespace.net.gitbase import GitKeeper

_AT_ONCE = 8
"""Agents that are given something at the same time."""
_LONGEST = 30.0
"""Seconds after which one is given up that keeps us waiting: it may do so on purpose."""


class _Given(NamedTuple):
    """What a container has been given: it had nothing when it started."""

    started: str
    marks: tuple[str, ...] = ()


class Handing:
    """What each container has been given, as far as this daemon knows."""

    def __init__(self, feed: Feed, vault: Vault, keeper: GitKeeper) -> None:
        self._feed = feed
        self._vault = vault
        self._keeper = keeper
        self._given: dict[str, _Given] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def see_to(self, agent: Agent, started: str) -> None:
        """The agent runs in the container that began at `started`: return when git has there what it is to have.

        Raises what GitKeeper raises, and FailedPrecondition SECRET_UNREADABLE.
        """
        lock = self._busy.setdefault(agent.uid, asyncio.Lock())
        async with lock:
            wanted = _Given(started, handing.git_marks(self._feed.state, agent))
            if self._known(agent, started) != wanted:
                async with self._slots:
                    await self._give(agent)
            if agent.id in self._feed.state.aggregates:
                self._given[agent.uid] = wanted

    async def _give(self, agent: Agent) -> None:
        access = handing.git_access(self._feed.state, self._vault, agent)
        try:
            async with asyncio.timeout(_LONGEST):
                await self._keeper.give(agent.uid, access)
        except TimeoutError as e:
            text = f"Agent '{agent.name}' of '{agent.vibespace}' does not take its logins for git."
            raise Unavailable("AGENT_UNREACHABLE", text, hint="See that its shell answers to 'vibespace exec'.") from e

    def forget(self, agent_uid: str) -> None:
        """Its container is gone."""
        self._given.pop(agent_uid, None)

    def _known(self, agent: Agent, started: str) -> _Given | None:
        before = self._given.get(agent.uid)
        if before is None:
            return None if self._may_have_some() else _Given(started)
        return before if before.started == started else _Given(started)

    def _may_have_some(self) -> bool:
        """A container of before this daemon may have been given what was deleted meanwhile."""
        gone = (gone.aggregate for gone in self._feed.state.gone.values())
        return any(isinstance(aggregate, Credential) and aggregate.type == GIT for aggregate in gone)
