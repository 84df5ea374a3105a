"""Logins that agents' programs keep themselves, for the answers that tell of them: looked for in those that run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from vibespace.app import logins
from vibespace.app.feed import Feed
from vibespace.daemon.convert_credentials import login_message
from vibespace.domain import names, states
from vibespace.domain.agents import Agent
from vibespace.engine.base import LOGINS
from vibespace.errors import Error
from vibespace.net.base import LoginLooker
from vibespace.v1 import credentials_pb2

_PATIENCE = 3.0
"""Seconds that an answer waits for one agent."""
_AT_ONCE = 16


class Logins:
    """For servicers."""

    def __init__(self, feed: Feed, look: LoginLooker) -> None:
        self._feed = feed
        self._look = look
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def found(self, agents: Iterable[Agent]) -> tuple[list[credentials_pb2.Credential], list[str]]:
        """The logins of these, and those of whose own nothing is known. One that agents share is told once."""
        asked = list(agents)
        seen = await asyncio.gather(*map(self._of, asked))
        users: dict[tuple[str, str], list[Agent]] = {}
        for agent, where in zip(asked, seen, strict=True):
            if where:
                # What an agent says is believed of itself alone: only who was given the store can be in it.
                shared = where == "shared" and agent.shares_login
                parent = names.vibespace_name(agent.vibespace) if shared else agent.subject
                users.setdefault((parent, agent.type), []).append(agent)
        unseen = [agent.called for agent, where in zip(asked, seen, strict=True) if where is None]
        return [login_message(parent, type, held) for (parent, type), held in users.items()], unseen

    async def _of(self, agent: Agent) -> str | None:
        """`own`, `shared`, empty for none; None when nobody can say."""
        state, own = self._feed.state, logins.of(agent)
        vibespace = state.vibespaces.get(agent.vibespace)
        if vibespace is None or state.host is None or not self._feed.engine_seen:
            return None
        if not states.is_up(agent, vibespace, state.host):
            return None
        variables: Sequence[str] = [name for name in (own.home, own.alone) if name]
        try:
            async with self._slots, asyncio.timeout(_PATIENCE):
                return await self._look(agent.uid, LOGINS, own.directory, own.file, variables)
        except (Error, TimeoutError):
            return None
