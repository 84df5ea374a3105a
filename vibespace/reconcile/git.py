"""The acts that git does inside, each with what is to be recorded of how it went. All may run twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from vibespace.app import agents as agent_commands
from vibespace.app import vibespaces as vibespace_commands
from vibespace.app.writer import Command
from vibespace.domain.agents import FAILED, READY, Agent
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import FailedPrecondition
from vibespace.net.gitbase import Repositories, Worktrees
from vibespace.reconcile.vibespaces import Clone, RemoveWorktree

_LONGEST = 900.0
"""Seconds that a worktree may take, which needs a few for 50 000 files: one that hangs keeps others from theirs."""

Record = Callable[[Command, Agent], Coroutine[Any, Any, None]]


async def clone(
    repositories: Repositories, vibespace: Vibespace, asked: Clone, logins: Callable[[], Awaitable[None]]
) -> Command:
    """Fetch its repository, once `logins` has given git there what it logs in with. Raises what Shell raises."""
    try:
        await logins()
        commit = await repositories.clone(asked.agent_uid, asked.url, asked.directory, asked.branch, bare=asked.bare)
    except FailedPrecondition as e:
        return partial(vibespace_commands.repository_failed, uid=vibespace.id, reason=e.sentence)
    return partial(vibespace_commands.repository_ready, uid=vibespace.id, commit=commit)


async def make_worktrees(worktrees: Worktrees, agents: Sequence[Agent], record: Record) -> None:
    """Give each of `agents` its worktree, all at once; what one has come to is recorded whatever becomes of another.

    Raises what Shell raises for any of them.
    """

    async def make(agent: Agent) -> None:
        await record(await _make(worktrees, agent), agent)

    outcomes = await asyncio.gather(*map(make, agents), return_exceptions=True)
    for failed in outcomes:
        if failed:
            raise failed


async def _make(worktrees: Worktrees, agent: Agent) -> Command:
    seen = partial(agent_commands.observe_worktree, vibespace=agent.vibespace, name=agent.name, uid=agent.id)
    try:
        async with asyncio.timeout(_LONGEST):
            notes = await worktrees.make(agent.uid, agent.name)
    except FailedPrecondition as e:
        return partial(seen, state=FAILED, reason=e.sentence, notes=[])
    except TimeoutError:
        return partial(seen, state=FAILED, reason=f"Git was not done after {_LONGEST:.0f} seconds.", notes=[])
    return partial(seen, state=READY, reason="", notes=notes)


async def remove_worktree(worktrees: Worktrees, vibespace: Vibespace, asked: RemoveWorktree) -> Command:
    """Take away what an agent has left. Raises what Shell raises."""
    removed = partial(vibespace_commands.worktree_removed, uid=vibespace.id, agent=asked.name)
    try:
        async with asyncio.timeout(_LONGEST):
            return partial(removed, reason=await worktrees.remove(asked.agent_uid, asked.name, force=asked.force))
    except FailedPrecondition as e:
        return partial(removed, reason=e.sentence)
    except TimeoutError:
        return partial(removed, reason=f"Git was not done after {_LONGEST:.0f} seconds.")
