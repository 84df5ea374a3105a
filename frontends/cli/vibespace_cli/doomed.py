"""What a deletion takes away, in a few words: for who is asked, and for who only wants to know."""

from __future__ import annotations

from typing import Any

from vibespace.v1.agents_pb2 import AGENT_STATE_RUNNING
from vibespace_cli import names, secrets


def named(rehearsed: Any, name: str) -> str:
    """What it is called; `name` is its resource name."""
    if "credential" in rehearsed.DESCRIPTOR.fields_by_name:
        return secrets.called(rehearsed.credential)
    return names.short(name)


def told(rehearsed: Any) -> str:
    """Of a vibespace how many agents, and what becomes of its data; of an agent its home and worktree; of a credential
    its value.
    """
    if "credential" in rehearsed.DESCRIPTOR.fields_by_name:
        return f"its value; {secrets.used(rehearsed.credential)}"
    if "agent" in rehearsed.DESCRIPTOR.fields_by_name:
        runs = rehearsed.agent.status.state == AGENT_STATE_RUNNING
        worktree = ", and its worktree" if rehearsed.agent.status.HasField("worktree") else ""
        return f"the agent{' (running)' if runs else ''}{',' if worktree else ' and'} its home{worktree}"
    status = rehearsed.vibespace.status
    agents = f"{status.agents} agent{'' if status.agents == 1 else 's'}"
    if status.agents_running:
        agents += f" ({status.agents_running} running)"
    return f"{agents}; the vibespace's data is kept" if rehearsed.data_kept else f"{agents} and the vibespace's data"
