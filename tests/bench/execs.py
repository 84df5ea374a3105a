"""A command in a running container: the daemon's part of it, and the whole process."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from time import perf_counter

import asyncssh

from tests.bench import engine, place
from tests.bench.commands import process_figure
from tests.bench.pairing import Figure, Wanted, in_turns, paired
from vibespace.daemon.streams import exec_stream
from vibespace.domain import repositories
from vibespace.net.keys import KeyFiles
from vibespace.net.shell import SshShell
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
    """What the daemon does for a command between its first request and the exit, gRPC's own part left out.

    Against ssh on a connection that is kept, to the same container.
    """
    uid, keys = await daemon.agent_uid(NAME), KeyFiles(daemon.state.keys)
    async with engine.bare(found) as bare:
        port = await bare.port(uid)
    connection = await engine.ssh(port, keys.host_key(uid), keys.client_key())
    shell = SshShell(_Dialer(port), keys)

    try:
        async with connection:
            turns = await in_turns(lambda: by_daemon(shell, uid, NAME), lambda: by_ssh(connection), TURNS)
    finally:
        await shell.close()
    return paired("exec true, inside the daemon", Wanted(1.5), turns, "ms")


async def by_daemon(shell: SshShell, uid: str, name: str) -> float:
    """Milliseconds that a command takes in that agent, to its exit."""
    begin = perf_counter()
    stream = exec_stream(shell, uid, repositories.ROOT, ExecStart(name=name, command=["true"]), _no_input())
    async for response in stream:
        if response.HasField("exit"):
            break
    took = perf_counter() - begin
    async for _ in stream:
        pass  # the exit is the last; what follows is the daemon's tidying up
    return took * 1e3


async def by_ssh(connection: asyncssh.SSHClientConnection) -> float:
    """The same on a connection that is kept."""
    begin = perf_counter()
    await connection.run("true", check=True)
    return (perf_counter() - begin) * 1e3


class _Dialer:
    """Reaches the one container there is, as an engine does."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def dial(self, agent_uid: str) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self._port))
        connected.setblocking(False)
        return connected


async def _no_input() -> AsyncIterator[ExecRequest]:
    yield ExecRequest(stdin_closed=True)
