"""What is in worktrees, for the answers that tell it, and for deletions, which are refused where work would go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from vibespace.app.feed import Feed
from vibespace.domain import states
from vibespace.domain.agents import READY, Agent
from vibespace.errors import Error, FailedPrecondition
from vibespace.net.gitbase import Work, Worktrees
from vibespace.v1 import agents_pb2

_PATIENCE = 3.0
"""Seconds that an answer waits for git. Of 50 000 files it says in a quarter of one what has changed."""

_LONGER = 30.0
"""Seconds that a deletion does."""


class Looking:
    """For servicers. An agent's worktree is the same in all containers of its vibespace: any that runs can look."""

    def __init__(self, feed: Feed, worktrees: Worktrees) -> None:
        self._feed = feed
        self._worktrees = worktrees

    async def add(self, agents: Iterable[agents_pb2.Agent]) -> None:
        """Fill in what git says in each of `agents`' worktrees; what it does not say in time is left out."""
        asked = [each for each in agents if each.status.worktree.state == agents_pb2.WORKTREE_STATE_READY]
        await asyncio.gather(*map(self._add, asked))

    async def refuse_unsaved(self, agent: Agent) -> None:
        """Raises FailedPrecondition WORKTREE_HAS_WORK for what is nowhere else, WORKTREE_UNSEEN when nobody can say."""
        if agent.deleting or not self._feed.state.vibespace_of(agent).worktree:
            return
        through = self._eyes(agent.vibespace, agent.name)
        if not through and agent.worktree != READY:
            return
        who = f"'{agent.name}' of '{agent.vibespace}'"
        if not through:
            hint = f"Start it with 'vibespace start {agent.vibespace}', or say --force."
            raise FailedPrecondition("WORKTREE_UNSEEN", f"Nothing runs that could see what work {who} has.", hint=hint)
        try:
            async with asyncio.timeout(_LONGER):
                work = await self._worktrees.look(through, agent.name)
        except TimeoutError as e:
            message = f"Git did not say in time what work {who} has."
            raise FailedPrecondition("WORKTREE_UNSEEN", message, hint="Try again, or say --force.") from e
        except Error as e:
            message = f"It cannot be seen what work {who} has: {e.message}"
            raise FailedPrecondition("WORKTREE_UNSEEN", message, hint="Try again, or say --force.") from e
        if work and work.unsaved:
            raise FailedPrecondition(
                "WORKTREE_HAS_WORK",
                f"{who} has work that is nowhere else: {work.unsaved}.",
                hint="Commit and push it; with --force files that are not committed go, and its branch stays.",
                agent=agent.name,
                vibespace=agent.vibespace,
            )

    async def _add(self, message: agents_pb2.Agent) -> None:
        through = self._eyes(message.vibespace_id, message.agent_id)
        try:
            async with asyncio.timeout(_PATIENCE):
                work = await self._worktrees.look(through, message.agent_id) if through else None
        except (Error, TimeoutError):  # what else was asked is answered all the same
            return
        if work:
            _tell(message.status.worktree, work)

    def _eyes(self, vibespace: str, name: str) -> str:
        """The uid of an agent that runs, that one itself if it does; empty for none."""
        state = self._feed.state
        home = state.vibespaces.get(vibespace)
        if home is None or state.host is None or not self._feed.engine_seen:
            return ""
        up = {agent.name: agent.uid for agent in state.agents(vibespace) if states.is_up(agent, home, state.host)}
        return up.get(name) or next(iter(up.values()), "")


def _tell(worktree: agents_pb2.Worktree, work: Work) -> None:
    worktree.branch, worktree.base = work.branch, work.base
    worktree.uncommitted, worktree.unpushed = work.uncommitted, work.unpushed
    if work.ahead is not None and work.behind is not None:
        worktree.ahead, worktree.behind = work.ahead, work.behind
