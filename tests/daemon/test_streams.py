"""The byte streams of the API, over a real gRPC connection and a real sshd."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.net.running import AGENT, run, until
from tests.net.sshd import Sshd, processes, running
from vibespace.daemon import streams
from vibespace.errors import InvalidArgument, Unavailable
from vibespace.net.shell import SshShell
from vibespace.v1.agents_pb2 import (
    DialRequest,
    DialResponse,
    ExecRequest,
    ExecResponse,
    ExecStart,
    Terminal,
    TerminalSize,
)
from vibespace.v1.agents_pb2_grpc import (
    AgentServiceServicer,
    AgentServiceStub,
    add_AgentServiceServicer_to_server,
)
from vibespace.v1.vibespaces_pb2 import UploadRepositoryRequest

MEGABYTES = os.urandom(1000) * 5_000


class Servicer(AgentServiceServicer):
    """As thin as the daemon's: one agent there is."""

    def __init__(self, shell: SshShell) -> None:
        self.shell = shell
        self.failures: list[BaseException] = []

    async def Exec(self, request_iterator: Any, context: Any) -> AsyncIterator[ExecResponse]:  # noqa: N802
        try:
            start = await streams.exec_start(request_iterator)
            async with aclosing(streams.exec_stream(self.shell, AGENT, "", start, request_iterator)) as responses:
                async for response in responses:
                    yield response
        except Exception as e:
            self.failures.append(e)
            raise

    async def Dial(self, request_iterator: Any, context: Any) -> AsyncIterator[DialResponse]:  # noqa: N802
        try:
            start = await streams.dial_start(request_iterator)
            async with aclosing(streams.dial_stream(self.shell, AGENT, start, request_iterator)) as responses:
                async for response in responses:
                    yield response
        except Exception as e:
            self.failures.append(e)
            raise


@pytest.fixture
async def sshd() -> AsyncIterator[Sshd]:
    async with running(AGENT) as server:
        yield server


@pytest.fixture
async def shell(sshd: Sshd) -> AsyncIterator[SshShell]:
    opened = SshShell(sshd, sshd.keys, user=sshd.user)
    yield opened
    await opened.close()


@pytest.fixture
def servicer(shell: SshShell) -> Servicer:
    return Servicer(shell)  # type: ignore[abstract]  # the other methods are not this test's


@pytest.fixture
async def stub(servicer: Servicer, tmp_path: Path) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    add_AgentServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        yield AgentServiceStub(channel)
    await server.stop(0)


def start(*command: str) -> ExecRequest:
    return ExecRequest(start=ExecStart(name="vibespaces/demo/agents/claude-1", command=command))


async def each(*messages: Any) -> AsyncIterator[Any]:
    """These requests, and then the end of them."""
    for message in messages:
        yield message


async def endless(*messages: Any) -> AsyncIterator[Any]:
    """These requests, and then nothing more, for ever."""
    for message in messages:
        yield message
    await asyncio.Event().wait()


async def rest(call: Any) -> AsyncIterator[Any]:
    """The responses still to come. (gRPC does not let one call be read and iterated.)"""
    while (response := await call.read()) is not grpc.aio.EOF:
        yield response


async def outcome(call: Any) -> tuple[bytes, bytes, Any]:
    """Standard output, standard error, exit."""
    said = {"stdout": bytearray(), "stderr": bytearray()}
    async for response in rest(call):
        kind = response.WhichOneof("response")
        if kind == "exit":
            return bytes(said["stdout"]), bytes(said["stderr"]), response.exit
        said[kind] += getattr(response, kind)
        assert len(getattr(response, kind)) <= streams.PIECE
    raise AssertionError("no exit came")


async def test_exec(stub: Any) -> None:
    """Output and errors come apart, the exit comes last, and the stream ends."""
    call = stub.Exec(each(start("sh", "-c", "echo out; echo err >&2; exit 3")))
    out, err, ended = await outcome(call)
    assert (out, err, ended.code, ended.signal) == (b"out\n", b"err\n", 3, "")
    assert await call.read() is grpc.aio.EOF


async def test_exec_input(stub: Any) -> None:
    """Input goes in while output comes out, unchanged, and its end ends the command."""
    pieces = [ExecRequest(stdin=MEGABYTES[i : i + 50_000]) for i in range(0, len(MEGABYTES), 50_000)]
    out, _, ended = await outcome(stub.Exec(endless(start("cat"), *pieces, ExecRequest(stdin_closed=True))))
    assert (out == MEGABYTES, ended.code) == (True, 0)


async def test_exec_end_of_requests(stub: Any) -> None:
    """A client that sends nothing more has ended the input."""
    out, _, _ = await outcome(stub.Exec(each(start("cat"), ExecRequest(stdin=b"all"))))
    assert out == b"all"


async def test_exec_signal(stub: Any) -> None:
    """A signal arrives, and the exit tells it."""
    requests: asyncio.Queue[ExecRequest] = asyncio.Queue()

    async def sent() -> AsyncIterator[ExecRequest]:
        while True:
            yield await requests.get()

    requests.put_nowait(start("sh", "-c", "echo up; exec sleep 1000"))
    call = stub.Exec(sent())
    assert (await call.read()).stdout == b"up\n"
    requests.put_nowait(ExecRequest(signal="INT"))
    _, _, ended = await outcome(call)
    assert (ended.code, ended.signal) == (130, "INT")


async def test_exec_on_a_terminal(stub: Any) -> None:
    """A command gets the terminal that is asked for, and hears of its new size."""
    requests: asyncio.Queue[ExecRequest] = asyncio.Queue()

    async def sent() -> AsyncIterator[ExecRequest]:
        while True:
            yield await requests.get()

    script = "stty size; echo $TERM >&2; until stty size | grep '50 120'; do sleep 0.01; done"
    first = start("sh", "-c", script)
    first.start.terminal.CopyFrom(Terminal(type="xterm", size=TerminalSize(columns=93, rows=31)))
    requests.put_nowait(first)
    call = stub.Exec(sent())
    shown = (await call.read()).stdout
    requests.put_nowait(ExecRequest(resize=TerminalSize(columns=120, rows=50)))
    out, err, ended = await outcome(call)
    assert (shown + out, err, ended.code) == (b"31 93\r\nxterm\r\n50 120\r\n", b"", 0)


async def test_exec_ends_without_its_client(stub: Any, servicer: Servicer) -> None:
    """The stream ends with the command, though the client would send more; nothing is left to clean up."""
    _, _, ended = await outcome(stub.Exec(endless(start("true"))))
    assert ended.code == 0
    assert servicer.failures == []


@pytest.mark.parametrize("script", ["echo up; sleep 1000; :", "echo up; yes; :"], ids=["quiet", "writing"])
async def test_exec_cancelled(stub: Any, script: str) -> None:
    """A client that goes away takes its command with it, whether it reads what is written or not."""
    word = f"unique-{secrets.token_hex(8)}"
    call = stub.Exec(endless(start("sh", "-c", script, word)))
    await call.read()
    assert processes(word)
    call.cancel()
    await until(lambda: not processes(word))


async def test_exec_at_shutdown(stub: Any, shell: SshShell) -> None:
    """A shell that closes takes the commands of all streams with it, and the streams end."""
    word = f"unique-{secrets.token_hex(8)}"
    call = stub.Exec(endless(start("sh", "-c", "echo up; sleep 1000; :", word)))
    await call.read()
    await shell.close()
    assert processes(word) == []
    assert [response async for response in rest(call)][-1].exit.signal == "HUP"


async def test_exec_slow_client(stub: Any, shell: SshShell) -> None:
    """A client that does not read holds the command up; then it gets all of it."""
    call = stub.Exec(each(start("sh", "-c", "head -c 30000000 /dev/zero; echo >&2")))
    size = len((await call.read()).stdout)
    for _ in range(20):
        await run(shell, "true")
    assert sum(channel._held for channel in shell._open) <= 1 << 20
    out, err, _ = await outcome(call)
    assert (size + len(out), err) == (30_000_000, b"\n")


@pytest.mark.parametrize(
    ("messages", "reason", "field"),
    [
        ([], "STREAM_INVALID", "start"),
        ([ExecRequest()], "STREAM_INVALID", "start"),
        ([ExecRequest(stdin=b"x")], "STREAM_INVALID", "start"),
        ([start()], "COMMAND_INVALID", "start.command"),
        ([start("sleep", "1000"), start("id")], "STREAM_INVALID", "start"),
        ([start("sleep", "1000"), ExecRequest()], "STREAM_INVALID", "request"),
        ([start("sleep", "1000"), ExecRequest(signal="BAD")], "SIGNAL_UNKNOWN", "signal"),
        ([start("a\0b")], "COMMAND_INVALID", "command"),
        ([ExecRequest(start=ExecStart(command=["id"], terminal=Terminal(type="xterm")))], "TERMINAL_INVALID", "size"),
        ([start("sleep", "1000"), ExecRequest(resize=TerminalSize(columns=-1, rows=1))], "TERMINAL_INVALID", "size"),
    ],
)
async def test_exec_wrong_messages(
    stub: Any, servicer: Servicer, messages: list[ExecRequest], reason: str, field: str
) -> None:
    """A message that does not fit ends the stream and the command, and says which field."""
    with pytest.raises(grpc.aio.AioRpcError):
        await outcome(stub.Exec(each(*messages)))
    [failure] = servicer.failures
    assert isinstance(failure, InvalidArgument)
    assert (failure.reason, failure.field) == (reason, field)


async def test_exec_agent_dies(stub: Any, servicer: Servicer, sshd: Sshd) -> None:
    """When the container dies under a command the stream fails with AGENT_UNREACHABLE."""
    call = stub.Exec(endless(start("sh", "-c", "echo up; sleep 1000")))
    await call.read()
    await sshd.kill()
    with pytest.raises(grpc.aio.AioRpcError):
        await outcome(call)
    [failure] = servicer.failures
    assert isinstance(failure, Unavailable)
    assert failure.reason == "AGENT_UNREACHABLE"


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data = await reader.read()
    writer.write(data)
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("by", ["message", "end of requests"])
async def test_dial(stub: Any, by: str) -> None:
    """First an empty message, then bytes both ways; the client's end leaves the other direction open."""
    pieces = [DialRequest(data=MEGABYTES[i : i + 50_000]) for i in range(0, 1_000_000, 50_000)]
    async with listening(answer_at_the_end) as port:
        first = DialRequest(name="vibespaces/demo/agents/claude-1", port=port)
        if by == "message":
            call = stub.Dial(endless(first, *pieces, DialRequest(closed=True)))
        else:
            call = stub.Dial(each(first, *pieces))
        assert (await call.read()).data == b""
        assert b"".join([response.data async for response in rest(call)]) == MEGABYTES[:1_000_000]


async def test_dial_cancelled(stub: Any) -> None:
    """A client that goes away closes the port's connection."""
    ended = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()
        writer.close()

    async with listening(wait_for_the_end) as port:
        call = stub.Dial(endless(DialRequest(name="vibespaces/demo/agents/claude-1", port=port)))
        await call.read()
        call.cancel()
        await ended.wait()


@pytest.mark.parametrize(
    ("messages", "reason", "field"),
    [
        ([], "STREAM_INVALID", "name"),
        ([DialRequest(port=80)], "STREAM_INVALID", "name"),
        ([DialRequest(name="x")], "PORT_INVALID", "port"),
        ([DialRequest(name="x", port=65536)], "PORT_INVALID", "port"),
        ([DialRequest(name="x", port=-1)], "PORT_INVALID", "port"),
    ],
)
async def test_dial_wrong_messages(
    stub: Any, servicer: Servicer, messages: list[DialRequest], reason: str, field: str
) -> None:
    """A first message that does not fit says which field."""
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Dial(each(*messages)).read()
    [failure] = servicer.failures
    assert isinstance(failure, InvalidArgument)
    assert (failure.reason, failure.field) == (reason, field)


async def test_dial_address_twice(stub: Any, servicer: Servicer) -> None:
    """An address in a later message ends the stream."""
    async with listening(answer_at_the_end) as port:
        first = DialRequest(name="x", port=port)
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in stub.Dial(endless(first, first)):
                pass
    [failure] = servicer.failures
    assert isinstance(failure, InvalidArgument)


async def test_upload() -> None:
    """The bytes of all messages come in order, those of the first included."""
    requests = each(
        UploadRepositoryRequest(name="vibespaces/demo", branch="main", data=b"a"),
        UploadRepositoryRequest(data=b"b"),
        UploadRepositoryRequest(data=b"c"),
    )
    first = await streams.upload_start(requests)
    assert first.branch == "main"
    assert [piece async for piece in streams.upload_chunks(first, requests)] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "later",
    [UploadRepositoryRequest(name="x"), UploadRepositoryRequest(data=bytes(streams.UPLOAD_PIECE + 1))],
    ids=["an address", "too long"],
)
async def test_upload_wrong_messages(later: UploadRepositoryRequest) -> None:
    """A later message with an address, or with more than a piece may have, is refused; so is a nameless first."""
    first = UploadRepositoryRequest(name="vibespaces/demo")
    with pytest.raises(InvalidArgument):
        [piece async for piece in streams.upload_chunks(first, each(later))]
    with pytest.raises(InvalidArgument):
        await streams.upload_start(each())
    with pytest.raises(InvalidArgument):
        await streams.upload_start(each(UploadRepositoryRequest(data=b"x")))
