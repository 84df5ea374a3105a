"""How what `uninstall --keep-data` has left comes back."""

from __future__ import annotations

import asyncio
from functools import partial

from vibespace.app import agents
from vibespace.app.feed import Feed
from vibespace.app.writer import Request, Writer
from vibespace.domain.agents import RUNNING, STOPPED
from vibespace.domain.states import is_current


async def record_stopped(feed: Feed, writer: Writer) -> None:
    """Have it on record that nothing runs: a container that is merely not there would count as failed."""
    stopped = [
        partial(
            agents.observe_agent,
            vibespace=vibespace.name,
            name=agent.name,
            state=STOPPED,
            generation=agent.generation,
            vibespace_generation=vibespace.generation,
        )
        for agent in feed.state.agents()
        if agent.observed == RUNNING and is_current(agent, vibespace := feed.state.vibespace_of(agent))
    ]
    await asyncio.gather(*(writer.run(each, Request("daemon")) for each in stopped))
