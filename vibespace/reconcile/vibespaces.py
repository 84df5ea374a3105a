"""What to do about one vibespace beyond its agents' containers: its repository, their worktrees, and its end. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vibespace.domain import vibespaces, worktrees
from vibespace.domain.agents import Agent
from vibespace.domain.host import Host
from vibespace.domain.states import is_up
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import Target


@dataclass(frozen=True)
class Clone:
    """Fetch its repository from inside its primary agent."""

    agent_uid: str
    url: str
    directory: str
    branch: str
    bare: bool


@dataclass(frozen=True)
class MakeWorktrees:
    """Give each of these its working copy, from inside it."""

    agents: tuple[Agent, ...]


@dataclass(frozen=True)
class RemoveWorktree:
    """Take away the worktree of `name`, who is gone, from inside an agent that runs."""

    agent_uid: str
    name: str
    force: bool


@dataclass(frozen=True)
class Delete:
    """Take away network and volumes, then record that it is gone."""

    target: Target
    keep_data: bool


Action = Clone | MakeWorktrees | RemoveWorktree | Delete | None


def plan(vibespace: Vibespace, members: Collection[Agent], host: Host) -> Action:
    """The next thing to do; after it has been done, ask again."""
    if vibespace.deleting:
        if members:
            return None
        return Delete(Target(vibespace.uid, vibespace.data_uid), vibespace.keep_data)
    up = [a for a in members if is_up(a, vibespace, host)]
    if vibespace.left:
        name, force = next(iter(vibespace.left.items()))
        return RemoveWorktree(up[0].uid, name, force) if up else None
    if vibespace.repository == vibespaces.READY:
        missing = tuple(a for a in up if worktrees.is_missing(a, vibespace))
        return MakeWorktrees(missing) if missing else None
    if vibespace.repository != vibespaces.PENDING or vibespace.waits_for_upload:
        return None
    primary = next((a for a in up if a.primary), None)
    spec = vibespace.spec
    if primary is None:
        return None
    return Clone(primary.uid, spec["repo"], vibespace.directory, spec.get("branch", ""), vibespace.worktree)
