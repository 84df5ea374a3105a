"""Which agents have a driver: those that run, and have a program or something to tell one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from uuid import UUID

from vibespace.app.messages import leave_terminal, withdraw
from vibespace.app.writer import Request
from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.messages import Message
from vibespace.domain.transcripts import Transcript
from vibespace.domain.vibespaces import PENDING, Vibespace
from vibespace.errors import Error
from vibespace.reconcile.conversations import MOST_TRIES
from vibespace.reconcile.driver import Driver, is_wanted
from vibespace.reconcile.tools import Tools

_PAUSE = 1.0
"""Seconds until a driver that met a defect begins anew; as often as it has met one."""
_LONGEST_PAUSE = 60.0
_LASTING = 60.0
"""After so many seconds of a driver its defect counts as the first."""

_log = logging.getLogger(__name__)


class Drivers:
    """All of them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[str] = set()
        """Those that were told to end."""
        self._closed = False

    async def run(self) -> None:
        """Until cancelled."""
        feed = self._tools.feed
        position, mood = 0, None
        self._tools.checkpoints.keep({agent.uid for agent in feed.state.agents()})
        await self._give_up_terminals()
        try:
            while True:
                changed = feed.state.aggregates.values() if feed.mood != mood else feed.state.changed_since(position)
                touched = {uid for aggregate in list(changed) for uid in self._agents(aggregate)}
                position, mood = feed.state.position, feed.mood
                for uid in touched | self._driving.keys():
                    self._look_at(uid)
                await feed.news()
        finally:
            self._closed = True
            driving = list(self._driving.values())
            for task in driving:
                task.cancel()
            await asyncio.gather(*driving, return_exceptions=True)

    async def _give_up_terminals(self) -> None:
        """Who waited for one did so at the daemon before this one."""
        for conversation in list(self._tools.feed.state.conversations.values()):
            if conversation.wants_terminal and not conversation.on_terminal:
                leave = partial(leave_terminal, vibespace=conversation.vibespace, agent=conversation.agent)
                with suppress(Error):
                    await self._tools.writer.run(leave, Request("daemon"))

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
        agent, driving = self._running(uid), self._driving.get(uid)
        if driving is None:
            if agent and is_wanted(self._tools.feed, uid):
                task = self._driving[uid] = asyncio.create_task(self._drive(agent))
                task.add_done_callback(partial(self._ended, uid))
        elif agent is None and uid not in self._leaving:
            self._leaving.add(uid)
            driving.cancel()

    def _ended(self, uid: str, _task: asyncio.Task[None]) -> None:
        """Somebody may have said something since, or the agent be back."""
        del self._driving[uid]
        self._leaving.discard(uid)
        if not self._closed:
            self._look_at(uid)

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
        """Where that meets a defect again and again, who waits is told, and it is tried ever later."""
        time, defects = asyncio.get_running_loop().time, 0
        reason = "the daemon met a defect of its own with its program"
        while True:
            begun = time()
            try:
                await Driver(agent, self._tools).run()
            except Exception:  # a defect met at one agent must not stop the others
                _log.exception("the program of %s is not driven", agent.uid)
                self._tools.checkpoints.forget(agent.uid)
                defects = 1 if time() - begun > _LASTING else defects + 1
                if defects % MOST_TRIES == 0:
                    with suppress(Error):
                        await self._tools.writer.run(
                            partial(withdraw, agent_uid=agent.uid, reason=reason), Request("daemon")
                        )
                await asyncio.sleep(min(defects * _PAUSE, _LONGEST_PAUSE))
            else:
                return
