"""Durable commands a second at `app`, against one row a transaction in a SQLite file beside it."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from tests.bench import place
from tests.bench.pairing import Figure, Wanted, in_turns, paired
from vibespace.app import host, vibespaces
from vibespace.app.feed import Feed
from vibespace.app.log import Log
from vibespace.app.writer import Request, Writer

CALLERS = 50
EACH = 20
"""Commands of one caller in a turn, one after the other; each is recorded as one event."""
ROWS = 300
"""Of the floor, in a turn."""
TURNS = 9


async def rows() -> list[Figure]:
    with place.directory() as home:
        log = Log(home / "events.db")
        folded = log.load()
        feed = Feed(log, folded.copy())
        writer = Writer(log, folded, feed.publish, lambda: datetime.now(UTC), uuid4)
        try:
            await _prepare(writer)
            gc.collect()
            gc.freeze()  # as the daemon does when it is ready
            payload = await _payload(writer, log)
            with _raw(home / "raw.db") as raw:
                turns = await in_turns(lambda: _commands(writer), lambda: _inserts(raw, payload), TURNS)
        finally:
            await writer.close()
            log.close()
    return [paired("durable commands, 50 callers", Wanted(2, at_least=True), turns, "/s")]


async def _prepare(writer: Writer) -> None:
    await writer.run(host.begin_log, Request("bench"))
    for caller in range(CALLERS):
        create = partial(
            vibespaces.create_vibespace,
            name=f"v{caller}",
            spec={},
            agent_name="",
            agent_type="claude-code",
            reuse_data=False,
        )
        await writer.run(create, _request())


async def _payload(writer: Writer, log: Log) -> bytes:
    """What one command writes."""
    done = await writer.run(partial(vibespaces.stop_vibespace, name="v0"), _request())
    await writer.run(partial(vibespaces.start_vibespace, name="v0"), _request())
    return log.read(done.position - 1, 1)[0].state


async def _commands(writer: Writer) -> float:
    async def caller(number: int) -> None:
        for turn in range(EACH):
            command = vibespaces.start_vibespace if turn % 2 else vibespaces.stop_vibespace
            await writer.run(partial(command, name=f"v{number}"), _request())

    begin = perf_counter()
    await asyncio.gather(*map(caller, range(CALLERS)))
    return CALLERS * EACH / (perf_counter() - begin)


@contextmanager
def _raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, state BLOB)")
    yield connection
    connection.close()


async def _inserts(connection: sqlite3.Connection, payload: bytes) -> float:
    begin = perf_counter()
    for _ in range(ROWS):
        connection.execute("INSERT INTO events (state) VALUES (?)", (payload,))
    return ROWS / (perf_counter() - begin)


_ids = count()


def _request() -> Request:
    """As a servicer makes it, ids and digest of their usual length."""
    return Request("local", f"{next(_ids):036d}", "0" * 32)
