"""A command in a running container: the daemon's part of it, and the whole process."""

from __future__ import annotations

from time import perf_counter

from tests.bench import engine, place
from tests.bench.commands import process_figure
from tests.bench.pairing import Figure, Wanted, in_turns, paired
from vibespace.net.keys import KeyFiles
from vibespace.v1.agents_pb2 import ExecRequest, ExecStart

NAME = "vibespaces/demo/agents/claude-1"
TURNS = 60
BARE_EXEC = """
import sys, click, grpc
channel = grpc.insecure_channel(sys.argv[1])
call = channel.stream_stream("/vibespace.v1.AgentService/Exec")
list(call(iter(map(bytes.fromhex, sys.argv[2:]))))
"""


async def rows() -> list[Figure]:
    async with engine.shared() as found, place.daemon(found.host, found.image) as daemon:
        await daemon.create("demo")
        await daemon.running("demo")
        try:
            requests = (ExecRequest(start=ExecStart(name=NAME, command=["true"])), ExecRequest(stdin_closed=True))
            ours = ["exec", "claude-1@demo", "--", "true"]
            floor = [BARE_EXEC, *(request.SerializeToString().hex() for request in requests)]
            return [
                await _inside(daemon, found),
                await process_figure("exec true, whole process", Wanted(1.3), daemon, ours, floor),
            ]
        finally:
            await daemon.delete("demo")


async def _inside(daemon: place.Daemon, found: engine.Engine) -> Figure:
    """Over a channel that is kept, against ssh on a connection that is kept, to the same container."""
    uid, keys = await daemon.agent_uid(NAME), KeyFiles(daemon.state.keys)
    async with engine.bare(found) as bare:
        connection = await engine.ssh(await bare.port(uid), keys.host_key(uid), keys.client_key())

    async def ours() -> float:
        begin = perf_counter()
        return (await daemon.execute(NAME, "true") - begin) * 1e3

    async def floor() -> float:
        begin = perf_counter()
        await connection.run("true", check=True)
        return (perf_counter() - begin) * 1e3

    async with connection:
        turns = await in_turns(ours, floor, TURNS)
    return paired("exec true, inside the daemon", Wanted(1.5), turns, "ms")
