"""Environment values of a request: into the vault before the event that says who has them, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from uuid import UUID, uuid4

from vibespace.app.feed import Feed
from vibespace.app.vault import Vault
from vibespace.v1 import agents_pb2

T = TypeVar("T")


class Sealing:
    """For the servicers that create agents."""

    def __init__(self, feed: Feed, vault: Vault) -> None:
        self._feed = feed
        self._vault = vault
        self._running: set[asyncio.Task[object]] = set()

    async def run(self, values: Mapping[str, str], create: Callable[[UUID], Awaitable[T]]) -> T:
        """Seal `values` for a new agent's uid and have it created; what was not created leaves nothing.

        It goes on to its end when the caller goes away: the agent may be recorded by then, and needs its values.
        """
        task = asyncio.create_task(self._run(values, create))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _run(self, values: Mapping[str, str], create: Callable[[UUID], Awaitable[T]]) -> T:
        uid = uuid4()
        if not values:
            return await create(uid)
        try:
            await asyncio.to_thread(self._vault.store, str(uid), values)
            return await create(uid)
        finally:
            if uid not in self._feed.state.aggregates:
                await asyncio.to_thread(self._vault.delete, str(uid))

    def conceal(self, settings: agents_pb2.AgentSettings) -> None:
        """In a copy of a request: the digest that goes into the log must not be one that values can be guessed by."""
        for i, entry in enumerate(settings.env):
            name, _, value = entry.partition("=")
            settings.env[i] = f"{name}={self._vault.fingerprint(value)}"
