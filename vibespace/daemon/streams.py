"""The byte streams of the API over a Shell: each message checked and cut to size, both directions at once.

A servicer takes the first message off its requests (`exec_start`, `dial_start`), finds out which agent it means, and
hands on what these generate. However a stream ends (the command's end, the client's Ctrl-C, a broken connection, the
daemon's own end), the command or the port is closed with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from vibespace.engine.base import Written
from vibespace.errors import InvalidArgument
from vibespace.net.base import Process, Shell, Stream, Terminal
from vibespace.v1.agents_pb2 import (
    DialRequest,
    DialResponse,
    ExecExit,
    ExecRequest,
    ExecResponse,
    ExecStart,
    StreamLogsResponse,
    UploadFilesRequest,
)
from vibespace.v1.vibespaces_pb2 import UploadRepositoryRequest

PIECE = 1 << 16
"""Most bytes in one message that we send."""

UPLOAD_PIECE = 1 << 20
"""Most bytes in one message of an upload; the proto's comment promises it."""

HIGHEST_PORT = 65535
LONGEST_PATH = 4095


async def exec_start(requests: AsyncIterator[ExecRequest]) -> ExecStart:
    """The first message, which says what to run. Raises InvalidArgument STREAM_INVALID or COMMAND_INVALID."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("request") != "start":
        raise _out_of_order("start", "The first message must be 'start'.")
    if not first.start.command:
        raise InvalidArgument("COMMAND_INVALID", "There is no command to run.", field="start.command")
    return first.start


async def exec_stream(
    shell: Shell, agent_uid: str, directory: str, start: ExecStart, requests: AsyncIterator[ExecRequest]
) -> AsyncGenerator[ExecResponse, None]:
    """Run `start.command` with the rest of `requests`: its output as it comes, and one exit at the end.

    Raises InvalidArgument for a message that does not fit, and what Shell raises.
    """
    process = await shell.start(agent_uid, start.command, directory=directory, terminal=_terminal(start))
    try:
        async with _beside(partial(_feed, process, requests), process) as failures:
            async for piece in process.output():
                yield ExecResponse(stderr=piece.data) if piece.stderr else ExecResponse(stdout=piece.data)
            _raise_first(failures)
            ended = await process.wait()
            yield ExecResponse(exit=ExecExit(code=ended.code, signal=ended.signal))
    finally:
        await process.close()


def _terminal(start: ExecStart) -> Terminal | None:
    if not start.HasField("terminal"):
        return None
    return Terminal(start.terminal.type, start.terminal.size.columns, start.terminal.size.rows)


async def dial_start(requests: AsyncIterator[DialRequest]) -> DialRequest:
    """The first message, which says whose port. Raises InvalidArgument STREAM_INVALID or PORT_INVALID."""
    first = await anext(requests, None)
    if first is None or not first.name:
        raise _out_of_order("name", "The first message must name the agent.")
    if not 1 <= first.port <= HIGHEST_PORT:
        raise InvalidArgument("PORT_INVALID", f"A port is a number from 1 to {HIGHEST_PORT}.", field="port")
    return first


async def dial_stream(
    shell: Shell, agent_uid: str, start: DialRequest, requests: AsyncIterator[DialRequest]
) -> AsyncGenerator[DialResponse, None]:
    """Join the stream to a port: an empty message when it answers, then its bytes until it closes.

    Raises InvalidArgument for a message that does not fit, and what Shell raises.
    """
    port = await shell.dial(agent_uid, start.port)
    try:
        yield DialResponse()
        async with _beside(partial(_forward, port, start, requests), port) as failures:
            while data := await port.read(PIECE):
                yield DialResponse(data=data)
            _raise_first(failures)
    finally:
        await port.close()


async def upload_start(requests: AsyncIterator[UploadRepositoryRequest]) -> UploadRepositoryRequest:
    """The first message, which says whose repository. Raises InvalidArgument STREAM_INVALID."""
    first = await anext(requests, None)
    if first is None or not first.name:
        raise _out_of_order("name", "The first message must name the vibespace.")
    return first


async def upload_chunks(
    start: UploadRepositoryRequest, requests: AsyncIterator[UploadRepositoryRequest]
) -> AsyncIterator[bytes]:
    """The bytes of the bundle, those of the first message included. Raises InvalidArgument STREAM_INVALID."""
    yield _piece(start.data)
    async for request in requests:
        if request.name or request.branch or request.origin:
            raise _out_of_order("data", "Only the first message may hold more than data.")
        yield _piece(request.data)


async def files_start(requests: AsyncIterator[UploadFilesRequest]) -> UploadFilesRequest:
    """The first message, which says where to. Raises InvalidArgument STREAM_INVALID or PATH_INVALID."""
    first = await anext(requests, None)
    if first is None or not first.name:
        raise _out_of_order("name", "The first message must name the agent.")
    check_path(first.path)
    return first


async def files_pieces(start: UploadFilesRequest, requests: AsyncIterator[UploadFilesRequest]) -> AsyncIterator[bytes]:
    """The bytes of the archive, those of the first message included. Raises InvalidArgument STREAM_INVALID."""
    yield _piece(start.data)
    async for request in requests:
        if request.name or request.path:
            raise _out_of_order("data", "Only the first message may hold more than data.")
        yield _piece(request.data)


def log_response(piece: Written) -> StreamLogsResponse:
    """What a container wrote, as it goes over the wire."""
    return StreamLogsResponse(stderr=piece.data) if piece.stderr else StreamLogsResponse(stdout=piece.data)


def check_path(path: bytes) -> None:
    """Raises InvalidArgument PATH_INVALID for what no file can be called."""
    if b"\0" in path or len(path) > LONGEST_PATH:
        raise InvalidArgument("PATH_INVALID", "A path has no NUL in it, and at most 4095 bytes.", field="path")


async def _feed(process: Process, requests: AsyncIterator[ExecRequest]) -> None:
    """Requests into the command; their end is its input's end."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "stdin":
                await process.write(request.stdin)
            case "stdin_closed":
                await process.write_eof()
            case "signal":
                process.signal(request.signal)
            case "resize":
                process.resize(request.resize.columns, request.resize.rows)
            case "start":
                raise _out_of_order("start", "Only the first message can be 'start'.")
            case None:
                raise _out_of_order("request", "A message was empty.")
    await process.write_eof()


async def _forward(port: Stream, start: DialRequest, requests: AsyncIterator[DialRequest]) -> None:
    """Requests into the port; their end is this direction's end."""
    await port.write(start.data)
    if not start.closed:
        async for request in requests:
            if request.name or request.port:
                raise _out_of_order("name", "Only the first message may say which port.")
            await port.write(request.data)
            if request.closed:
                break
    await port.write_eof()


@asynccontextmanager
async def _beside(work: Callable[[], Awaitable[None]], peer: Process | Stream) -> AsyncIterator[list[Exception]]:
    """`work` as long as the block runs. When it fails it closes `peer`, so that the block comes to its end and finds
    the failure in the list.
    """
    failures: list[Exception] = []

    async def guarded() -> None:
        try:
            await work()
        except Exception as e:  # whatever it is, who reads the list raises it
            failures.append(e)
            await peer.close()

    task = asyncio.create_task(guarded())
    try:
        yield failures
    finally:
        task.cancel()
        await asyncio.wait([task])


def _raise_first(failures: list[Exception]) -> None:
    if failures:
        raise failures[0]


def _piece(data: bytes) -> bytes:
    if len(data) > UPLOAD_PIECE:
        raise InvalidArgument("STREAM_INVALID", f"A piece can have {UPLOAD_PIECE} bytes.", field="data")
    return data


def _out_of_order(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("STREAM_INVALID", message, field=field, hint="This is a defect of the program that called.")
