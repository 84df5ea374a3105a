"""Which agents have a driver: those that run, and have a program or something to tell one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from uuid import UUID

from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Transcript
from vibespace.domain.vibespaces import PENDING, Vibespace
from vibespace.reconcile.driver import Driver, Tools, is_wanted

_PAUSE = 1.0
"""Seconds until a driver that met a defect begins anew."""

_log = logging.getLogger(__name__)


class Drivers:
    """All of them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._driving: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        feed = self._tools.feed
        position, mood = 0, None
        try:
            while True:
                changed = feed.state.aggregates.values() if feed.mood != mood else feed.state.changed_since(position)
                touched = {uid for aggregate in list(changed) for uid in self._agents(aggregate)}
                position, mood = feed.state.position, feed.mood
                for uid in touched | self._driving.keys():
                    self._look_at(uid)
                await feed.news()
        finally:
            for task in self._driving.values():
                task.cancel()
            await asyncio.gather(*self._driving.values(), return_exceptions=True)

    def _agents(self, aggregate: Aggregate) -> Iterator[str]:
        """Whom it is about."""
        match aggregate:
            case Agent():
                yield aggregate.uid
            case Vibespace():
                yield from (agent.uid for agent in self._tools.feed.state.agents(aggregate.name))
            case Conversation() | Message() | Approval() | Transcript():
                yield aggregate.agent_uid

    def _look_at(self, uid: str) -> None:
        agent = self._running(uid)
        if agent and uid not in self._driving and is_wanted(self._tools.feed, uid):
            self._driving[uid] = asyncio.create_task(self._drive(agent))
        elif agent is None and uid in self._driving:
            self._driving[uid].cancel()

    def _running(self, uid: str) -> Agent | None:
        """The agent, if its container is there and what it is to work on."""
        state = self._tools.feed.state
        agent = state.aggregates.get(UUID(uid))
        if not isinstance(agent, Agent) or not self._tools.feed.engine_seen or state.host is None:
            return None
        vibespace = state.vibespace_of(agent)
        running = states.agent_state(agent, vibespace, state.host) == states.State.RUNNING
        return agent if running and vibespace.repository != PENDING else None

    async def _drive(self, agent: Agent) -> None:
        try:
            await Driver(agent, self._tools).run()
        except Exception:  # a defect met at one agent must not stop the others
            _log.exception("the program of %s is not driven", agent.uid)
            await asyncio.sleep(_PAUSE)
        finally:
            del self._driving[agent.uid]
        self._look_at(agent.uid)  # somebody may have said something since
