"""A unary call, with one caller and with fifty, against an empty servicer in another process."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

import grpc

from tests.bench import place
from tests.bench.pairing import Figure, Wanted, in_turns, paired, percentile
from vibespace.v1.vibespaces_pb2 import GetVibespaceRequest
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

if TYPE_CHECKING:
    from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceAsyncStub

CALLS = {1: 300, 50: 1000}
"""Callers -> calls in one turn, of all of them together."""
TURNS = 7
WANTED = Wanted(1.5)


async def rows() -> list[Figure]:
    async with place.daemon() as daemon:
        await daemon.create("demo")
        await daemon.running("demo")
        with place.directory() as home, place.server("tests.bench.empty", home):
            async with grpc.aio.insecure_channel(f"unix:{home / 'daemon.sock'}") as channel:
                empty = VibespaceServiceStub(channel)
                return [f for callers in CALLS for f in await _figures(callers, daemon.vibespaces, empty)]


async def _figures(callers: int, ours: VibespaceServiceAsyncStub, floor: VibespaceServiceAsyncStub) -> list[Figure]:
    turns = await in_turns(lambda: _turn(ours, callers), lambda: _turn(floor, callers), TURNS)
    named = f"unary call, {callers} caller{'s' if callers > 1 else ''}"
    return [
        paired(f"{named}, p{p}", WANTED, [(percentile(o, p), percentile(f, p)) for o, f in turns], "ms")
        for p in (50, 99)
    ]


async def _turn(stub: VibespaceServiceAsyncStub, callers: int) -> list[float]:
    """Milliseconds of each call, when `callers` make one after the other."""
    request = GetVibespaceRequest(name="vibespaces/demo")
    took: list[float] = []

    async def caller() -> None:
        for _ in range(CALLS[callers] // callers):
            begin = perf_counter()
            await stub.GetVibespace(request)
            took.append((perf_counter() - begin) * 1e3)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return took
