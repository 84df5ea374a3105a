"""Values of a request: into the vault before the event that says who has them, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TypeVar
from uuid import UUID, uuid4

from vibespace.app.feed import Feed
from vibespace.app.handing import VALUE
from vibespace.app.vault import Vault
from vibespace.v1 import agents_pb2

T = TypeVar("T")


class Sealing:
    """For the servicers that create agents and set credentials."""

    def __init__(self, feed: Feed, vault: Vault) -> None:
        self._feed = feed
        self._vault = vault
        self._running: set[asyncio.Task[object]] = set()
        self._changing = asyncio.Lock()

    async def run(self, values: Mapping[str, str], create: Callable[[UUID], Awaitable[T]]) -> T:
        """Seal `values` for a new agent's uid and have it created; what was not created leaves nothing.

        It goes on to its end when the caller goes away: the agent may be recorded by then, and needs its values.
        """
        return await self._to_the_end(self._run(values, create))

    async def change(self, held: Callable[[], str], record: Callable[[UUID], Awaitable[T]], value: str = "") -> T:
        """Seal a credential's `value` under a new uid and have that recorded, or have its end recorded.

        `held` is the uid that the history says, or empty. What it does not say in the end leaves the vault, be that the
        new value or the one before. It goes on to its end as `run` does.
        """
        return await self._to_the_end(self._change(held, record, value))

    async def _change(self, held: Callable[[], str], record: Callable[[UUID], Awaitable[T]], value: str) -> T:
        async with self._changing:  # one after the other: what is held before is what this one replaces
            uid, before = uuid4(), held()
            try:
                if value:
                    await asyncio.to_thread(self._vault.store, str(uid), {VALUE: value})
                return await record(uid)
            finally:
                for other in {str(uid), before} - {held(), ""}:
                    await asyncio.to_thread(self._vault.delete, other)

    async def _to_the_end(self, work: Coroutine[object, object, T]) -> T:
        task = asyncio.create_task(work)
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

    async def conceal(self, settings: agents_pb2.AgentSettings) -> None:
        """In a copy of a request: the digest that goes into the log must not be one that values can be guessed by."""
        for i, entry in enumerate(settings.env):
            name, _, value = entry.partition("=")
            settings.env[i] = f"{name}={await self.stand_in(value)}"

    async def stand_in(self, value: str) -> str:
        """What the digest is made of in place of `value`."""
        return await asyncio.to_thread(self._vault.fingerprint, value)
