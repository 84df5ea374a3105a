"""The one engine of this state directory: made when `init` has chosen it, and who dials goes through here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from vibespace.domain.host import Host
from vibespace.engine.base import Engine
from vibespace.engine.containers import ContainersEngine
from vibespace.engine.fake import FakeEngine, faults
from vibespace.engine.fake_world import World
from vibespace.errors import Unavailable
from vibespace.setup.engine import Choice, reopen
from vibespace.state import State

FAKE = "fake"
"""Brand of the engine in memory. Only `init` under VIBESPACE_ENGINE=fake ever records it."""


async def open_engine(host: Host, state: State, environ: Mapping[str, str]) -> Engine:
    """The engine that `host` recorded. Raises Unavailable ENGINE_UNREACHABLE when it cannot be brought to answer."""
    chosen: Mapping[str, str] = host.engine
    if chosen["brand"] == FAKE:
        world = World(Path(environ.get("VIBESPACE_FAKE_ENGINE") or state.engine / FAKE))
        return FakeEngine(host.uid, world, faults=faults(environ.get("VIBESPACE_FAKE_FAULTS", "")))
    choice = Choice(chosen["brand"], chosen["address"], bool(host.engine["private"]))
    revive = partial(asyncio.to_thread, reopen, choice, state)
    await revive()
    return ContainersEngine(choice.socket, host.uid, revive=revive)


class Dialer:
    """`net.base.Dialer` for an engine that may not be there yet."""

    def __init__(self) -> None:
        self.engine: Engine | None = None

    async def dial(self, agent_uid: str) -> socket.socket:
        """See Engine.dial."""
        if self.engine is None:
            raise Unavailable("ENGINE_UNREACHABLE", "The engine is not there yet.", hint="Try again.")
        return await self.engine.dial(agent_uid)
