"""Where an agent works, and how it is known whether it can: worktrees, where the vibespace has them."""

from __future__ import annotations

from vibespace.domain import repositories, vibespaces
from vibespace.domain.agents import FAILED, READY, UNSEEN, Agent
from vibespace.domain.vibespaces import Vibespace

STATES = {UNSEEN: vibespaces.PENDING, READY: vibespaces.READY, FAILED: vibespaces.FAILED}
"""What was seen of a worktree -> how far it is."""


def place(agent: str) -> str:
    """Where the worktree of the agent of that name lies."""
    return f"{repositories.WORKTREES}/{agent}"


def directory(agent: Agent, vibespace: Vibespace) -> str:
    """Where the agent works: commands and relative paths begin there. What is not there yet is passed by."""
    if vibespace.repository != vibespaces.READY:
        return repositories.ROOT
    if not vibespace.worktree:
        return vibespace.directory
    return place(agent.name) if agent.worktree == READY else repositories.ROOT


def is_missing(agent: Agent, vibespace: Vibespace) -> bool:
    """Its worktree could be made, and nobody has seen yet how that went."""
    return vibespace.worktree and vibespace.repository == vibespaces.READY and agent.worktree == UNSEEN
