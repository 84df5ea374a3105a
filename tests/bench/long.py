"""A daemon over a million events: how long it takes to start, to tell the latest, and to find a few old ones."""

from __future__ import annotations

import os
import sys
from statistics import median
from time import perf_counter
from urllib.parse import quote

import grpc

from tests.bench import history, place
from tests.bench.pairing import Figure, Wanted, alone, in_turns, paired
from vibespace.state import State
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.v1.events_pb2 import StreamEventsRequest
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2 import GetStatusRequest
from vibespace.v1.system_pb2_grpc import SystemServiceStub

TURNS = 5
SHORT = 1000
"""Events of the log that a start is held against."""
BEHIND = 10_000


async def rows() -> list[Figure]:
    long, short = history.directory(), history.directory(SHORT)
    for found in (long, short):
        if not (found.home / "checkpoint").exists():
            print(f"the first start over {found.home.name} …", file=sys.stderr)
            await _start(found)  # folds everything, and leaves a checkpoint when it ends
    turns = await in_turns(lambda: _start(long), lambda: _start(short), TURNS)
    with place.server("vibespace.daemon", long.home):
        behind, few = await _read(long)
    return [
        alone("daemon start, 1 000 000 events", Wanted(2000, unit="ms"), median(ours for ours, _ in turns)),
        paired("daemon start, 1 000 000 events for 1 000", Wanted(1.3), turns, "ms"),
        alone("10 000 events behind → all seen", Wanted(300, unit="ms"), behind),
        alone("events of one vibespace of 100 000", Wanted(20, unit="ms"), few),
    ]


async def _start(found: State) -> float:
    """Milliseconds until it serves."""
    begin = perf_counter()
    with place.server("vibespace.daemon", found.home):
        return (perf_counter() - begin) * 1e3


async def _read(found: State) -> tuple[float, float]:
    async with grpc.aio.insecure_channel(f"unix:{quote(os.fspath(found.socket))}") as channel:
        status = await SystemServiceStub(channel).GetStatus(GetStatusRequest())
        events, cursor = EventServiceStub(channel), status.cursor
        behind = StreamEventsRequest(after=Cursor(log_id=cursor.log_id, position=cursor.position - BEHIND))
        old = [StreamEventsRequest(parent=f"vibespaces/v{10_000 * turn + 7}") for turn in range(1, TURNS + 1)]

        async def all_seen(request: StreamEventsRequest, least: int) -> float:
            begin, seen = perf_counter(), 0
            async for response in events.StreamEvents(request):
                seen += len(response.events)
            assert seen >= least
            return (perf_counter() - begin) * 1e3

        await all_seen(StreamEventsRequest(parent="vibespaces/v1"), 1)
        return median([await all_seen(behind, BEHIND) for _ in range(TURNS)]), median(
            [await all_seen(request, 8) for request in old]
        )
