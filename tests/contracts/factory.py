"""What the suite for engines stands on: a factory for each engine, specs, and looks at what became of them.

Commands run inside by ssh over `dial`, as the house does it, with the host key pinned.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Protocol

import asyncssh

from vibespace.engine.base import (
    AgentSpec,
    Condition,
    Engine,
    Examiner,
    Inventory,
    Logs,
    Meter,
    Snapshot,
    Status,
    Target,
)

CLIENT = asyncssh.generate_private_key("ssh-ed25519")
HOSTS = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
"""Keys cost a little: the same ones serve all tests."""


class InventoriedEngine(Engine, Inventory, Logs, Examiner, Meter, Protocol):
    """An engine that can also list what it made, tell what was written, look into images and measure, as all so far."""


class Factory(Protocol):
    """What a test of one engine hands to the suite."""

    image: str
    """An image with sshd and python3."""

    def open(self, log_id: str) -> InventoriedEngine:
        """A new engine object for that log on the one engine under test; the factory closes it."""

    async def remove_by_hand(self, agent_uid: str) -> None:
        """Take the agent's container away behind the engine's back."""

    async def end_by_itself(self, agent_uid: str) -> None:
        """Make the agent's container end although nobody asked."""

    async def bounce(self) -> None:
        """Let the engine die and come back; its containers go on."""


def uid() -> str:
    return str(uuid.uuid4())


def agent(factory: Factory, name: str = "one", like: AgentSpec | None = None) -> AgentSpec:
    """A spec: in a vibespace of its own, or in the one of `like`."""
    vibespace_uid, data_uid = (like.vibespace_uid, like.data_uid) if like else (uid(), uid())
    return AgentSpec(
        agent_uid=uid(),
        agent=name,
        vibespace_uid=vibespace_uid,
        vibespace="demo",
        data_uid=data_uid,
        image=factory.image,
        host_key=HOSTS[0].export_private_key(),
        authorized_key=CLIENT.export_public_key().decode(),
    )


def shown(directory: Path, content: str) -> Path:
    """A directory with one `file`, which everybody may read and write, as uid 1000 inside must."""
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "file").write_text(content + "\n")
    return directory


def whole(spec: AgentSpec) -> Target:
    return Target(spec.vibespace_uid, spec.data_uid)


@asynccontextmanager
async def inside(
    engine: Engine, spec: AgentSpec, host: asyncssh.SSHKey = HOSTS[0]
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection to the agent's sshd, which must show `host`."""
    pinned = asyncssh.import_known_hosts(f"* {host.export_public_key().decode()}")
    async with asyncssh.connect(
        "agent",
        sock=await engine.dial(spec.agent_uid),
        username="agent",
        client_keys=[CLIENT],
        known_hosts=pinned,
        config=[],
    ) as connection:
        yield connection


async def run(engine: Engine, spec: AgentSpec, command: str) -> str:
    """What the command printed; it must succeed."""
    async with inside(engine, spec) as connection:
        return str((await connection.run(command, check=True)).stdout).strip()


@asynccontextmanager
async def watching(engine: Engine) -> AsyncIterator[AsyncIterator[Snapshot]]:
    """A watch that is closed again, as every one is an asynchronous generator."""
    snapshots = engine.watch()
    assert isinstance(snapshots, AsyncGenerator)
    async with aclosing(snapshots):
        yield snapshots


async def status(engine: Engine, spec: AgentSpec, condition: Condition) -> Status:
    """The first status that shows this condition. ABSENT is told as an empty status."""
    async with watching(engine) as snapshots:
        async for snapshot in snapshots:
            found = find(snapshot, spec)
            if found.condition is condition:
                return found
    raise AssertionError("a watch ends by raising only")


def find(snapshot: Snapshot, spec: AgentSpec) -> Status:
    absent = Status(spec.agent_uid, Condition.ABSENT)
    return next((found for found in snapshot.statuses if found.agent_uid == spec.agent_uid), absent)


async def until(snapshots: AsyncIterator[Snapshot], specs: Sequence[AgentSpec], condition: Condition) -> None:
    async for snapshot in snapshots:
        if all(find(snapshot, spec).condition is condition for spec in specs):
            return
