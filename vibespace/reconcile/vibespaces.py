"""What to do about one vibespace beyond its agents: its repository, and its end. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vibespace.domain import vibespaces
from vibespace.domain.agents import Agent
from vibespace.domain.host import Host
from vibespace.domain.states import State, agent_state
from vibespace.domain.vibespaces import Vibespace
from vibespace.engine.base import Target


@dataclass(frozen=True)
class Clone:
    """Fetch its repository from inside its primary agent."""

    agent_uid: str
    url: str
    directory: str
    branch: str


@dataclass(frozen=True)
class Delete:
    """Take away network and volumes, then record that it is gone."""

    target: Target
    keep_data: bool


Action = Clone | Delete | None


def plan(vibespace: Vibespace, members: Collection[Agent], host: Host) -> Action:
    """The next thing to do; after it has been done, ask again."""
    if vibespace.deleting:
        if members:
            return None
        return Delete(Target(vibespace.uid, vibespace.data_uid), vibespace.keep_data)
    if vibespace.repository != vibespaces.PENDING or vibespace.waits_for_upload:
        return None
    ready = [a for a in members if a.primary and agent_state(a, vibespace, host) == State.RUNNING]
    spec = vibespace.spec
    return Clone(ready[0].uid, spec["repo"], vibespace.directory, spec.get("branch", "")) if ready else None
