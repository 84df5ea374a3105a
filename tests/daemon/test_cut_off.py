"""What is said when the way to a command inside breaks: why, where that is known, or soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from tests.app.house import create
from tests.daemon.running import CONTEXT, PRIMARY, quiet
from tests.reconcile.site import Site, site
from tests.reconcile.virtual import in_virtual_time
from vibespace.app import agents
from vibespace.daemon.agents import AgentServicer
from vibespace.engine import bodies
from vibespace.errors import Error, Unavailable
from vibespace.net.base import Output, Shell
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart


class Cut:
    """A shell, and the command that runs there until the way to it breaks."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.broken = asyncio.Event()

    async def start(self, *_: object, **__: object) -> Cut:
        return self

    async def output(self) -> AsyncIterator[Output]:
        yield Output(b"up")
        self.begun.set()
        await self.broken.wait()

    async def wait(self) -> None:
        raise Unavailable("AGENT_UNREACHABLE", "It broke.")

    async def write_eof(self) -> None:
        """It has no input."""

    async def close(self) -> None:
        """There is nothing to close."""


async def stopped(made: Site) -> None:
    await made.house.ask(partial(agents.stop_agent, vibespace="demo", name="claude-1"))


async def ended(made: Site) -> None:
    made.world.end(bodies.container_name(made.agent().uid), "it ended with exit code 137")


async def nothing(made: Site) -> None:
    pass


@pytest.mark.parametrize(
    ("happened", "reason", "words"),
    [
        (stopped, "AGENT_NOT_RUNNING", "'vibespace agent start claude-1@demo' brings it back."),
        (ended, "AGENT_NOT_RUNNING", "is failed: it ended with exit code 137."),
        (nothing, "AGENT_UNREACHABLE", "It broke."),
    ],
)
@in_virtual_time
async def test_why_a_command_was_cut_off(
    tmp_path: Path, happened: Callable[[Site], Any], reason: str, words: str
) -> None:
    """Its agent was stopped, or its container ended, which may be seen a moment later; else only that it was."""
    async with site(tmp_path) as made, made.reconciling():
        await made.house.ask(create())
        await made.until(quiet)
        shell, unused = Cut(), (None,) * 6
        servicer = AgentServicer(made.feed, made.house.writer, cast(Shell, shell), *cast(Any, unused))
        running = asyncio.create_task(_run(servicer))
        await shell.begun.wait()
        shell.broken.set()
        await happened(made)
        why = await running
        assert (why.reason, words in why.sentence) == (reason, True)


async def _run(servicer: AgentServicer) -> Error:
    async def requests() -> AsyncIterator[ExecRequest]:
        yield ExecRequest(start=ExecStart(name=PRIMARY, command=["sleep"]))

    with pytest.raises(Error) as raised:
        async for _ in servicer.Exec(requests(), CONTEXT):
            pass
    return raised.value
