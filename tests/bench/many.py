"""A thousand vibespaces with five agents each: what one listing, one change and the daemon's memory take."""

from __future__ import annotations

import asyncio
import uuid
from statistics import median
from time import perf_counter

from tests.bench import place, processes
from tests.bench.pairing import Figure, Wanted, alone
from vibespace.v1.agents_pb2 import CreateAgentRequest
from vibespace.v1.system_pb2 import GetStatusRequest
from vibespace.v1.vibespaces_pb2 import ListVibespacesRequest, StartVibespaceRequest, StopVibespaceRequest

VIBESPACES, AGENTS = 1000, 5
CALLERS = 20
TURNS = 15


async def rows() -> list[Figure]:
    # An engine that shows nothing: what is measured is ours alone.
    async with place.daemon(VIBESPACE_FAKE_FAULTS="watch:1:hang") as daemon:
        names = iter(range(VIBESPACES))

        async def caller() -> None:
            for number in names:
                await daemon.create(f"v{number}")
                for _ in range(AGENTS - 1):
                    request = CreateAgentRequest(parent=f"vibespaces/v{number}", request_id=str(uuid.uuid4()))
                    await daemon.agents.CreateAgent(request)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        status = await daemon.system.GetStatus(GetStatusRequest())
        assert (status.vibespaces, status.agents) == (VIBESPACES, VIBESPACES * AGENTS)
        listed = [await _list(daemon) for _ in range(TURNS)]
        changed = [await _change(daemon, turn) for turn in range(TURNS * 2)]
        resident = processes.resident(status.daemon.pid)
    return [
        alone("list of 1 000 vibespaces, 5 000 agents", Wanted(100, unit="ms"), median(listed)),
        alone("one change among them", Wanted(5, unit="ms"), median(changed)),
        alone("the daemon's memory with them", Wanted(300, unit="MB"), resident),
    ]


async def _list(daemon: place.Daemon) -> float:
    begin = perf_counter()
    response = await daemon.vibespaces.ListVibespaces(ListVibespacesRequest())
    assert len(response.vibespaces) == VIBESPACES
    return (perf_counter() - begin) * 1e3


async def _change(daemon: place.Daemon, turn: int) -> float:
    name, request_id = f"vibespaces/v{turn // 2}", str(uuid.uuid4())
    begin = perf_counter()
    if turn % 2:
        await daemon.vibespaces.StartVibespace(StartVibespaceRequest(name=name, request_id=request_id))
    else:
        await daemon.vibespaces.StopVibespace(StopVibespaceRequest(name=name, request_id=request_id))
    return (perf_counter() - begin) * 1e3
