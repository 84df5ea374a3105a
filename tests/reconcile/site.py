"""A house whose intents are made so: the loop on a fake engine, and all that it reaches for beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

from tests.app.house import ENGINE, House
from vibespace.app import host
from vibespace.app.feed import Feed
from vibespace.domain import states
from vibespace.domain.agents import Agent
from vibespace.engine.base import AgentSpec
from vibespace.engine.fake import FakeEngine, Fault
from vibespace.engine.fake_world import World
from vibespace.errors import Error, FailedPrecondition
from vibespace.net.base import Shell
from vibespace.net.gitbase import GitAccess, Repositories, Worktrees
from vibespace.reconcile.loop import Reconciler
from vibespace.vault import Vault

IMAGE = "an-image"


class Keys:
    """Key files that lie nowhere."""

    def __init__(self) -> None:
        self.made: set[str] = set()

    def make_host_key(self, agent_uid: str) -> bytes:
        self.made.add(agent_uid)
        return f"key of {agent_uid}".encode()

    def authorized_key(self) -> str:
        return "ssh-ed25519 AAAA"

    def delete(self, agent_uid: str) -> None:
        self.made.discard(agent_uid)


class Outside:
    """The shell and git, as far as the loop needs them: what was forgotten, and what cloning shall say."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.clones: list[tuple[str | bool, ...]] = []
        self.failing = ""
        self.worktrees: list[tuple[str, ...]] = []
        """What was done with worktrees: the verb, from inside whom, whose, and with `force` or not."""
        self.unmade: dict[str, Error] = {}
        """Whose worktree cannot be made, or removed, and why."""
        self.given: list[tuple[str, GitAccess]] = []

    async def give(self, agent_uid: str, access: GitAccess) -> None:
        self.given.append((agent_uid, access))

    def prepare(self, spec: AgentSpec) -> None:
        """This machine is fit for whatever the tests say."""

    async def forget(self, agent_uid: str) -> None:
        self.forgotten.append(agent_uid)

    async def clone(self, *asked: str, bare: bool) -> str:
        self.clones.append((*asked, bare))
        if self.failing:
            raise FailedPrecondition("REPOSITORY_FAILED", self.failing, hint="Start it again.")
        return "c" * 40

    async def make(self, agent_uid: str, name: str) -> list[str]:
        self.worktrees.append(("make", agent_uid, name))
        if name in self.unmade:
            raise self.unmade[name]
        return ["something is missing"] if name == "helper" else []

    async def remove(self, agent_uid: str, name: str, *, force: bool) -> str:
        self.worktrees.append(("remove", agent_uid, name, "force" if force else ""))
        if name in self.unmade:
            raise self.unmade[name]
        return ""


class Site:
    """A house whose intents are made so."""

    def __init__(self, house: House, world: World, tmp_path: Path) -> None:
        self.house = house
        self.world = world
        self.keys = Keys()
        self.vault = Vault(tmp_path / "vault")
        self.outside = Outside()

    @property
    def feed(self) -> Feed:
        return self.house.feed

    @asynccontextmanager
    async def reconciling(
        self, *, faults: Iterable[Fault] = (), image_missing: frozenset[str] = frozenset()
    ) -> AsyncIterator[None]:
        """The loop runs inside this block."""
        engine = FakeEngine(self.feed.log_id, self.world, faults=faults, image_missing=image_missing)
        loop = Reconciler(
            self.feed,
            self.house.writer,
            engine,
            cast(Shell, self.outside),
            cast(Repositories, self.outside),
            cast(Worktrees, self.outside),
            self.keys,
            self.vault,
            self.outside,
            self.outside.prepare,
        )
        task = asyncio.create_task(loop.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait({task})
            await engine.close()

    async def until(self, holds: Callable[[Feed], object]) -> None:
        while not holds(self.feed):
            await self.feed.news()

    def agent(self, name: str = "claude-1") -> Agent:
        return self.feed.state.agent("demo", name)

    def state(self) -> tuple[states.State, str]:
        """Of `demo`, as Get shows it, and its reason."""
        vibespace = self.feed.state.vibespace("demo")
        assert self.feed.state.host
        return states.vibespace_state(vibespace, list(self.feed.state.agents("demo")), self.feed.state.host)

    def things(self, kind: str) -> list[str]:
        return [name for found, name in self.world.things if found == kind]

    def topics(self, after: int = 0) -> list[str]:
        return [recorded.topic for recorded in self.house.log.read(after)]


@asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A house after `init`."""
    house, world = House(tmp_path / "events.db"), World()
    await house.open()
    await house.ask(partial(host.initialize, engine=ENGINE, image=IMAGE))
    try:
        yield Site(house, world, tmp_path)
    finally:
        await house.close()
        world.close()


def in_state(wanted: states.State, made: Site) -> Callable[[Feed], bool]:
    return lambda feed: made.state()[0] == wanted
