"""What nobody should send, and what nobody should do with an answer: the daemon goes on, and serves everybody else."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon import hostile
from tests.daemon.process import daemon as process
from tests.daemon.running import Running, error_of, initialize, quiet, refused, whole
from tests.daemon.test_process import dial, pid_of
from vibespace.aio import Client
from vibespace.errors import DeadlineExceeded, Exhausted, InvalidArgument
from vibespace.state import State
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import credentials_pb2 as c
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.events_pb2_grpc import EventServiceStub
from vibespace.v1.system_pb2_grpc import SystemServiceStub
from vibespace.v1.vibespaces_pb2_grpc import VibespaceServiceStub

METHODS = [
    f"{service.name}/{method.name}"
    for file in (a, c, ev, s, v)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.input_type.fields
]
CODEX = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
UNREADABLE = b"\x0a\xff\xff\xff\xff\x7f"
"""A field that says it is longer than what is there."""


def create(name: str) -> v.CreateVibespaceRequest:
    return v.CreateVibespaceRequest(vibespace_id=name, agent=CODEX)


async def alive(daemon: Running) -> None:
    """It answers, and takes commands, on the connection it had and on a new one."""
    name = f"v{len(daemon.feed.state.vibespaces)}"
    await daemon.vibespaces.CreateVibespace(create(name), timeout=30)
    async with dial(daemon.daemon._state.home) as channel:
        status = await SystemServiceStub(channel).GetStatus(s.GetStatusRequest(), timeout=30)
    assert status.vibespaces == len(daemon.feed.state.vibespaces)


@pytest.mark.parametrize("method", METHODS)
async def test_what_is_no_message_is_refused_with_a_reason(daemon: Running, method: str) -> None:
    """Every method, whether it takes one request or many, says INVALID_ARGUMENT and records nothing."""
    before = daemon.feed.state.position
    with pytest.raises(grpc.aio.AioRpcError) as e:
        await hostile.send_raw(daemon.channel, method, UNREADABLE)
    error = error_of(e.value)
    assert (type(error), error.reason) == (InvalidArgument, "REQUEST_UNREADABLE")
    assert daemon.feed.state.position == before


async def test_the_second_message_of_a_stream_is_no_message(daemon: Running) -> None:
    """What came before was right; the stream ends with the same sentence."""
    await daemon.vibespaces.CreateVibespace(create("demo"))
    await daemon.until(quiet)
    start = a.ExecRequest(start=a.ExecStart(name="vibespaces/demo/agents/codex-1", command=["cat"]))
    with pytest.raises(grpc.aio.AioRpcError) as e:
        await hostile.send_raw(daemon.channel, "AgentService/Exec", start.SerializeToString(), UNREADABLE)
    assert error_of(e.value).reason == "REQUEST_UNREADABLE"


async def test_a_message_that_is_too_large_is_refused(daemon: Running) -> None:
    """More than 8 MiB is not taken in, and what comes close is looked at."""
    error = await refused(daemon.vibespaces.CreateVibespace(create("x" * (9 << 20))))
    assert isinstance(error, Exhausted)
    assert isinstance(await refused(daemon.vibespaces.CreateVibespace(create("x" * (7 << 20)))), InvalidArgument)
    await alive(daemon)


GARBAGE = [
    b"",
    b"\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    hostile.PREFACE,
    hostile.PREFACE + b"\xff" * 1000,
    hostile.PREFACE + hostile.SETTINGS + hostile.frame(hostile.HEADERS, 4, 1, b"\xff" * 100),
    hostile.PREFACE + hostile.SETTINGS + hostile.frame(hostile.DATA, 1, 1, b"no headers before"),
    hostile.PREFACE + hostile.SETTINGS + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_harms_nobody(daemon: Running, garbage: bytes) -> None:
    """Whatever begins like something else, or like HTTP/2 and goes wrong: others are served."""
    async with hostile.connected(State(daemon.daemon._state.home).socket) as (_, writer):
        writer.write(garbage)
        await writer.drain()
        await alive(daemon)
    await alive(daemon)


async def test_random_bytes_harm_nobody(daemon: Running) -> None:
    """A thousand conversations of random bytes, half of which begin as they should."""
    dice = random.Random(7)
    for n in range(1000):
        async with hostile.connected(State(daemon.daemon._state.home).socket) as (_, writer):
            writer.write((hostile.PREFACE + hostile.SETTINGS if n % 2 else b"") + dice.randbytes(dice.randrange(300)))
    await alive(daemon)


async def test_half_a_message_waits_without_harm(daemon: Running) -> None:
    """A hundred callers who never finish their request keep nobody waiting, and leave nothing when they go."""
    async with AsyncExitStack() as stack:
        for _ in range(100):
            _, writer = await stack.enter_async_context(hostile.connected(State(daemon.daemon._state.home).socket))
            writer.write(hostile.half_a_call("VibespaceService/CreateVibespace"))
            await writer.drain()
        await alive(daemon)
    await alive(daemon)


async def test_a_message_may_come_slowly(daemon: Running) -> None:
    """One byte at a time is a message all the same."""
    request = create("slowly").SerializeToString()
    message = b"\x00" + len(request).to_bytes(4, "big") + request
    async with hostile.connected(State(daemon.daemon._state.home).socket) as (_, writer):
        begun = hostile.frame(hostile.HEADERS, 4, 1, hostile.headers("VibespaceService/CreateVibespace"))
        for byte in hostile.PREFACE + hostile.SETTINGS + begun:
            writer.write(bytes([byte]))
            await writer.drain()
        for n, byte in enumerate(message):
            writer.write(hostile.frame(hostile.DATA, int(n == len(message) - 1), 1, bytes([byte])))
            await writer.drain()
        await daemon.until(lambda feed: "slowly" in feed.state.vibespaces)


async def test_metadata_decides_nothing(daemon: Running) -> None:
    """Who asks is whoever opened the socket, whatever the call says of itself; what is not known is ignored."""
    said = (("actor", "daemon"), ("authorization", "Bearer x"), ("x-unknown-bin", b"\xff\x00"), ("principal", "root"))
    await daemon.vibespaces.CreateVibespace(create("demo"), metadata=said)
    [page] = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(type="vibespace.created")))
    assert [event.actor for event in page.events] == ["local"]


async def test_who_gives_up_on_a_mutation_stops_nothing(daemon: Running) -> None:
    """A deadline that passes and a call that is cancelled end the waiting; what was accepted is done, once."""
    with daemon_busy(daemon) as let_go:
        late = asyncio.ensure_future(refused(daemon.vibespaces.CreateVibespace(create("late"), timeout=0.3)))
        call = daemon.vibespaces.CreateVibespace(create("cancelled"))
        assert isinstance(await late, DeadlineExceeded)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert daemon.feed.state.vibespaces == {}
        let_go()
        await daemon.until(lambda feed: set(feed.state.vibespaces) == {"late", "cancelled"})
    await daemon.until(quiet)
    assert [agent.observed for agent in daemon.feed.state.agents()] == ["running", "running"]


@contextmanager
def daemon_busy(daemon: Running) -> Iterator[Any]:
    """The writer decides nothing until it is let go."""
    go, begun = threading.Event(), threading.Event()
    writer = daemon.daemon._writer
    commit = writer._commit

    def wait_and_commit(work: Any) -> Any:
        begun.set()
        go.wait()
        return commit(work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_commit", wait_and_commit)
        try:
            yield go.set
        finally:
            go.set()


@contextmanager
def with_files(home: Path, most: int) -> Iterator[subprocess.Popen[str]]:
    """A daemon that may have so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        with process(home) as daemon:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            yield daemon
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_now(daemon: subprocess.Popen[str]) -> int:
    """How many files it has open."""
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


async def test_a_thousand_connections(tmp_path: Path) -> None:
    """All of them are answered, under the usual limit of 1024 open files."""
    home = tmp_path / "home"
    with with_files(home, 1024) as daemon:
        async with AsyncExitStack() as stack:
            local = (("grpc.use_local_subchannel_pool", 1),)
            channels = [grpc.aio.insecure_channel(f"unix:{State(home).socket}", options=local) for _ in range(1000)]
            for channel in channels:
                stack.push_async_callback(channel.close)
            for some in range(0, 1000, 100):
                asked = (SystemServiceStub(c).GetStatus(s.GetStatusRequest()) for c in channels[some : some + 100])
                assert {answer.daemon.pid for answer in await asyncio.gather(*asked)} == {daemon.pid}
            assert open_now(daemon) > 1000
        assert await pid_of(home) == daemon.pid


async def test_files_that_run_out_cost_nothing_that_was_accepted(tmp_path: Path) -> None:
    """More connections than the daemon may have files: what it accepts meanwhile is done, and when they have gone it
    answers everybody again.
    """
    home = tmp_path / "home"
    with with_files(home, 64) as daemon:
        async with dial(home) as channel:
            await initialize(channel)
            stub, accepted = VibespaceServiceStub(channel), []
            async with AsyncExitStack() as stack:
                for _ in range(100):
                    await stack.enter_async_context(hostile.connected(State(home).socket))
                while open_now(daemon) < 64:
                    with suppress_code(grpc.StatusCode.RESOURCE_EXHAUSTED):
                        await SystemServiceStub(channel).GetStatus(s.GetStatusRequest())
                for n in range(10):
                    # Refused is what it needs a file for.
                    with suppress_code(grpc.StatusCode.RESOURCE_EXHAUSTED):
                        accepted.append((await stub.CreateVibespace(create(f"v{n}"))).vibespace.name)
            while "vibespaces/after" not in accepted:  # until the daemon has noticed that they are gone
                with suppress_code(grpc.StatusCode.RESOURCE_EXHAUSTED):
                    accepted.append((await stub.CreateVibespace(create("after"))).vibespace.name)
            async with Client(home, start=False) as another:
                await running(another, accepted)
        assert daemon.poll() is None


@contextmanager
def suppress_code(code: grpc.StatusCode) -> Iterator[None]:
    """Calls inside may fail with this status, and no other."""
    try:
        yield
    except grpc.aio.AioRpcError as e:
        if e.code() != code:
            raise


async def running(client: Client, names: list[str]) -> None:
    """Return when all of these run."""
    waiting = set(names)
    async for response in client.watch():
        for change in response.changes:
            if change.vibespace.status.state == v.VIBESPACE_STATE_RUNNING:
                waiting.discard(change.vibespace.name)
        if not waiting:
            break


async def test_who_never_reads_costs_bounded_memory(tmp_path: Path) -> None:
    """A hundred streams that nobody reads, with a hundred megabytes of news for them: the daemon holds a fraction of
    it, and one who begins to read gets all of it.
    """
    home = tmp_path / "home"
    with process(home) as daemon:
        async with dial(home) as channel, dial(home) as deaf:
            await initialize(channel)
            stub = VibespaceServiceStub(channel)
            await stub.CreateVibespace(create("demo"))
            await stub.StopVibespace(v.StopVibespaceRequest(name="vibespaces/demo"))
            silent: list[Any] = []
            for _ in range(FOLLOWERS):
                silent.append(EventServiceStub(deaf).StreamEvents(ev.StreamEventsRequest(follow=True)))
            for _ in range(100 - FOLLOWERS):
                silent.append(EventServiceStub(deaf).Watch(ev.WatchRequest()))
            for call in silent:
                await call.read()
            before = memory(daemon.pid)
            for n in range(0, UPDATES, 50):
                newest = await asyncio.gather(*(stub.UpdateVibespace(limit(cpu)) for cpu in range(n + 1, n + 51)))
            assert (memory(daemon.pid) - before) >> 20 < 64
            seen = ev.StreamEventsResponse()
            while not seen.events or seen.events[-1].cursor.position < max(a.cursor.position for a in newest):
                seen.MergeFrom(await silent[0].read())
            assert sum(event.type == "vibespace.spec_changed" for event in seen.events) == UPDATES
            assert FOLLOWERS * seen.ByteSize() >> 20 > 100
            for call in silent:
                call.cancel()


UPDATES, FOLLOWERS = 8000, 75


def limit(cpu: int) -> v.UpdateVibespaceRequest:
    """Another limit for the vibespace `demo`."""
    wanted = v.Vibespace(name="vibespaces/demo", spec=v.VibespaceSpec(cpu=f"{cpu}m"))
    request = v.UpdateVibespaceRequest(vibespace=wanted)
    request.update_mask.paths.append("spec.cpu")
    return request


def memory(pid: int) -> int:
    """Bytes that a process holds."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
