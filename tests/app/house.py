"""A state directory's log, writer and feed, opened as the daemon opens them, with a clock and ids of the test's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from vibespace.app import agents, credentials, host, vibespaces
from vibespace.app.feed import Feed
from vibespace.app.live import State
from vibespace.app.log import Log
from vibespace.app.writer import Batch, Command, Outcome, Request, Transaction, Writer
from vibespace.domain.aggregate import Aggregate

ENGINE = {"brand": "fake", "version": "1", "address": "memory", "private": False, "rootless": False}


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **much: float) -> None:
        self.now += timedelta(**much)


class House:
    """Open and close it as often as wanted: what is on disk stays."""

    def __init__(self, path: Path, mask: Callable[[str], str] = str) -> None:
        self.path = path
        self._mask = mask
        self.clock = Clock()
        self._ids = count(1)
        self._requests = count(1)
        self.batches: list[Batch] = []

    def new_id(self) -> UUID:
        return UUID(int=next(self._ids))

    async def open(self) -> None:
        self.log = Log(self.path)
        self.written = self.log.load()
        self.feed = Feed(self.log, self.written.copy())
        self.writer = Writer(self.log, self.written, self._publish, self.clock, self.new_id, self._mask)
        if self.feed.state.host is None:
            await self.ask(host.begin_log, request_id="")

    async def close(self) -> None:
        await self.writer.close()
        self.log.close()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    def _publish(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.feed.publish(batch)

    async def ask(self, command: Command, request_id: str | None = None, digest: str = "d") -> Outcome:
        """Decide `command`; under a request_id of its own unless one is given."""
        request_id = f"r{next(self._requests)}" if request_id is None else request_id
        return await self.writer.run(command, Request("local", request_id, digest if request_id else ""))

    async def together(self, *commands: tuple[Command, Request]) -> list[Outcome | BaseException]:
        """Decide `commands` in one batch, in this order: the writer is held up until all have queued."""
        loop, held, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def hold(transaction: Transaction) -> Aggregate:
            loop.call_soon_threadsafe(held.set)
            go.wait()
            assert transaction.state.host is not None
            return transaction.state.host

        holding = asyncio.create_task(self.ask(hold, request_id=""))
        await held.wait()
        tasks = [asyncio.create_task(self.writer.run(command, request)) for command, request in commands]
        await asyncio.sleep(0)  # each task runs up to where it waits for its answer
        go.set()
        await holding
        return await asyncio.gather(*tasks, return_exceptions=True)


def create(name: str = "demo", *, type: str = "claude-code", reuse: bool = False, **spec: Any) -> Command:
    """A vibespace."""
    return partial(vibespaces.create_vibespace, name=name, spec=spec, agent_name="", agent_type=type, reuse_data=reuse)


def add(vibespace: str = "demo", name: str = "", type: str = "") -> Command:
    """An agent."""
    return partial(agents.create_agent, vibespace=vibespace, name=name, type=type)


def start(name: str = "demo") -> Command:
    return partial(vibespaces.start_vibespace, name=name)


def stop(name: str = "demo") -> Command:
    return partial(vibespaces.stop_vibespace, name=name)


def delete(name: str = "demo", *, keep_data: bool = False) -> Command:
    return partial(vibespaces.delete_vibespace, name=name, keep_data=keep_data)


def deleted(name: str = "demo") -> Command:
    """What the reconciler records at the end of a deletion."""
    return partial(vibespaces.complete_deletion, name=name)


def agent_deleted(vibespace: str = "demo", name: str = "claude-1") -> Command:
    return partial(agents.complete_deletion, vibespace=vibespace, name=name)


def set_credential(
    parent: str = "", type: str = "anthropic", key: str = "", sealed: str = "v1", **more: str
) -> Command:
    """A credential for every vibespace, or for `parent`."""
    return partial(credentials.set_credential, parent=parent, type=type, key=key, settings=more, sealed=sealed)


def delete_credential(parent: str = "", type: str = "anthropic", key: str = "") -> Command:
    """The one that set_credential sets; of one that is not there, its refusal."""

    def command(transaction: Transaction) -> Aggregate:
        found = transaction.state.credentials.get(parent, {}).get((type, key))
        return credentials.delete_credential(transaction, name=found.subject if found else "credentials/none")

    return command


def plain(state: State) -> dict[str, Any]:
    """All that `state` holds, order included, as something that can be compared and shown."""
    return {name: _plain(value) for name, value in vars(state).items()}


def _plain(value: Any) -> Any:
    match value:
        case Aggregate():
            return {key: _plain(part) for key, part in vars(value).items()}
        case Mapping():
            return [[_plain(key), _plain(part)] for key, part in value.items()]
        case list() | tuple():
            return [_plain(part) for part in value]
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case None | str() | int() | float():
            return value
    return {key: _plain(part) for key, part in vars(value).items()}
