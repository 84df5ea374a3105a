"""What intent and observation together amount to: the states people see, as pure rules."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from vibespace.domain import agents, vibespaces, worktrees
from vibespace.domain.agents import Agent
from vibespace.domain.host import Host
from vibespace.domain.vibespaces import Vibespace


class State(StrEnum):
    """Of an agent or a vibespace (AIP-216: resting states and -ING)."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"


def should_run(agent: Agent, vibespace: Vibespace, host: Host) -> bool:
    """An agent runs iff its own, its vibespace's and the host's intent all are start."""
    return agent.started and vibespace.started and not host.resting and not (agent.deleting or vibespace.deleting)


def agent_state(agent: Agent, vibespace: Vibespace, host: Host) -> State:
    """The state of one agent."""
    if agent.deleting or vibespace.deleting:
        return State.DELETING
    if not should_run(agent, vibespace, host):
        # What was seen at rest of an earlier intent may have begun to start since.
        return State.STOPPED if agent.observed == agents.STOPPED and is_current(agent, vibespace) else State.STOPPING
    if not is_current(agent, vibespace) or agent.observed not in (agents.RUNNING, agents.FAILED):
        return State.STARTING
    if agent.observed == agents.FAILED:
        return State.FAILED
    return State.STARTING if worktrees.is_missing(agent, vibespace) else State.RUNNING


def agent_reason(agent: Agent, vibespace: Vibespace, host: Host) -> str:
    """Why it is not running although it should be, or what it waits for."""
    if agent.reason or not (is_up(agent, vibespace, host) and worktrees.is_missing(agent, vibespace)):
        return agent.reason
    return "making its worktree"


def is_up(agent: Agent, vibespace: Vibespace, host: Host) -> bool:
    """Its container answers, whether or not all is there that it is to work on."""
    seen = agent.observed == agents.RUNNING and is_current(agent, vibespace)
    return seen and should_run(agent, vibespace, host)


def is_current(agent: Agent, vibespace: Vibespace) -> bool:
    """What was observed is of what is now asked."""
    seen = (agent.observed_generation, agent.observed_vibespace_generation)
    return seen == (agent.generation, vibespace.generation)


def vibespace_state(vibespace: Vibespace, members: Collection[Agent], host: Host) -> tuple[State, str]:
    """The state of a vibespace whose agents are `members`, and why it is not running although it should be."""
    if vibespace.deleting:
        failed = (f"{a.name}: {a.reason}" for a in members if a.observed == agents.FAILED)
        return State.DELETING, next(failed, vibespace.deletion_reason)
    states = [(agent, agent_state(agent, vibespace, host)) for agent in members]
    if not vibespace.started or host.resting:
        resting = all(state == State.STOPPED for _, state in states)
        return (State.STOPPED if resting else State.STOPPING), ""
    for agent, state in states:
        if state == State.FAILED:
            return State.FAILED, f"{agent.name}: {agent.reason}"
    if vibespace.repository == vibespaces.FAILED:
        return State.FAILED, vibespace.repository_reason
    for agent, state in states:
        if vibespace.worktree and state == State.RUNNING and agent.worktree == agents.FAILED:
            return State.FAILED, f"{agent.name}: {agent.worktree_reason}"
    for agent, state in states:
        if state == State.STARTING:
            return State.STARTING, f"{agent.name} is starting"
    if vibespace.repository == vibespaces.PENDING:
        waiting = "waiting for its repository to be sent" if vibespace.waits_for_upload else "cloning its repository"
        return State.STARTING, waiting
    return State.RUNNING, ""
