"""Agents that something is to be done in: those that run, or soon will."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from vibespace.app.feed import Feed
from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.domain.messages import QUEUED, Message
from vibespace.domain.states import State
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import FailedPrecondition, Unavailable, ended

_PATIENCE = 60.0
"""Seconds that a command waits for an agent that is on its way up."""
_SOON = 3.0
"""Seconds after which the engine has told of a container that ended; what ran in it was cut off before that."""


async def running(feed: Feed, vibespace_id: str, agent_id: str) -> tuple[Agent, Vibespace]:
    """The agent of these names; one that is on its way up is waited for.

    Raises NotFound; FailedPrecondition AGENT_NOT_RUNNING; Unavailable ENGINE_UNREACHABLE.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                state = feed.state
                agent, vibespace = state.agent(vibespace_id, agent_id), state.vibespace(vibespace_id)
                assert state.host is not None
                resting, condition = state.host.resting, states.agent_state(agent, vibespace, state.host)
                reason = states.agent_reason(agent, vibespace, state.host)
                if condition == State.RUNNING and feed.engine_seen:
                    return agent, vibespace
                if state.host.reason and not feed.engine_seen:
                    raise Unavailable("ENGINE_UNREACHABLE", state.host.reason, hint="Try again when it answers.")
                if condition not in (State.STARTING, State.RUNNING):
                    raise not_running(agent, condition, resting, reason)
                await feed.news()
    except TimeoutError:
        raise not_running(agent, condition, resting, reason) from None


async def must_run_on(feed: Feed, agent: Agent) -> None:
    """Return when that agent seems to run, though somebody was cut off from what ran there.

    Raises NotFound; FailedPrecondition AGENT_NOT_RUNNING, AT_REST.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_SOON):
            while True:
                state = feed.state
                now = state.agent(agent.vibespace, agent.name)
                vibespace = state.vibespace_of(now)
                assert state.host is not None
                condition = states.agent_state(now, vibespace, state.host)
                if condition != State.RUNNING:
                    reason = states.agent_reason(now, vibespace, state.host)
                    raise not_running(now, condition, state.host.resting, reason)
                await feed.news()


def _hint(agent: Agent, condition: State, resting: bool) -> str:
    """What has to be typed: the intent that is not to run decides. What should run is tried ever again."""
    if condition == State.DELETING:
        return f"'vibespace agent info {agent.called}' shows how far that is."
    if condition == State.STARTING:
        return "That goes on by itself."
    if condition == State.FAILED:
        return f"It is started again by itself; 'vibespace agent start {agent.called}' does not wait for that."
    if resting:
        return "'vibespace start' brings it back."
    if agent.started:
        return f"'vibespace start {agent.vibespace}' brings it back."
    return f"'vibespace agent start {agent.called}' brings it back."


def _becomes(message: Message | None, condition: State) -> str:
    """So that nobody says again what will be worked on."""
    if message is None:
        return ""
    if condition == State.DELETING:
        return "The message goes with it."
    if message.state == QUEUED:
        return "The message waits for that, and need not be said again."
    return "The history says then how far the message got."


def not_running(
    agent: Agent, condition: State, resting: bool, reason: str, *, message: Message | None = None
) -> FailedPrecondition:
    """What to say of an agent that is in that condition, and to who waits for an answer to that message."""
    why = f": {reason}" if reason else ""
    return FailedPrecondition(
        "AGENT_NOT_RUNNING",
        ended(f"Agent '{agent.name}' of '{agent.vibespace}' is {condition}{why}"),
        hint=" ".join(filter(None, (_hint(agent, condition, resting), _becomes(message, condition)))),
        agent=agent.name,
        vibespace=agent.vibespace,
    )
