"""Ports inside, over a real sshd."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.net.running import AGENT, run, until
from tests.net.sshd import Sshd
from vibespace.errors import Unavailable
from vibespace.net.base import Stream
from vibespace.net.channel import HELD, WINDOW
from vibespace.net.shell import SshShell
from vibespace.net.stream import SshStream

MEGABYTES = os.urandom(1000) * 5_000

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server in the place of one inside: the test's sshd shares our loopback. Gives its port."""
    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def all_of(stream: Stream) -> bytes:
    data = b""
    while piece := await stream.read(65536):
        data += piece
    return data


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_loopback(shell: SshShell, host: str) -> None:
    """A server bound to either loopback address alone is reached."""
    async with listening(echo, host) as port:
        stream = await shell.dial(AGENT, port)
        await stream.write(b"hello")
        await stream.write_eof()
        assert await all_of(stream) == b"hello"
        await stream.close()


async def test_bytes_both_ways(shell: SshShell) -> None:
    """Megabytes of every value go in and come back as they were, both directions at once."""
    async with listening(echo) as port:
        stream = await shell.dial(AGENT, port)

        async def send() -> None:
            await stream.write(MEGABYTES)
            await stream.write_eof()

        got, _ = await asyncio.gather(all_of(stream), send())
        assert got == MEGABYTES
        await stream.close()


async def test_read_limit(shell: SshShell) -> None:
    """No read gives more than it was asked for, and none loses anything."""
    async with listening(echo) as port:
        stream = await shell.dial(AGENT, port)
        await stream.write(b"abcdefghij")
        await stream.write_eof()
        assert [await stream.read(4) for _ in range(4)] == [b"abcd", b"efgh", b"ij", b""]
        await stream.close()


async def test_half_close(shell: SshShell) -> None:
    """The other side answers after our direction has ended."""

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))
        writer.close()

    async with listening(count) as port:
        stream = await shell.dial(AGENT, port)
        await stream.write(b"x" * 1000)
        await stream.write_eof()
        assert await all_of(stream) == b"1000"
        await stream.close()


async def test_half_closed_by_the_other_side(shell: SshShell) -> None:
    """What we send arrives after the other side has ended its direction."""
    got = asyncio.get_running_loop().create_future()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        got.set_result(await reader.read())
        writer.close()

    async with listening(mute) as port:
        stream = await shell.dial(AGENT, port)
        assert await stream.read(1) == b""
        await stream.write(b"still here")
        await stream.write_eof()
        assert await got == b"still here"
        await stream.close()


async def test_port_closed(shell: SshShell) -> None:
    """A port on which nothing listens is the reason, and the connection goes on."""
    async with listening(echo) as port:
        pass
    with pytest.raises(Unavailable) as caught:
        await shell.dial(AGENT, port)
    assert (caught.value.reason, caught.value.field) == ("PORT_CLOSED", "port")
    assert (await run(shell, "echo", "on")).stdout == b"on\n"


async def test_closed_port_after_reconnect(shell: SshShell, sshd: Sshd) -> None:
    """A dead connection is replaced for a port too."""
    await run(shell, "true")
    await sshd.kill()
    await sshd.start()
    async with listening(echo) as port:
        stream = await shell.dial(AGENT, port)
        await stream.close()
    assert sshd.dials == 2


async def test_reader_that_does_not_read(shell: SshShell) -> None:
    """A server that sends for ever is held up, with bounded memory here."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
        except ConnectionError:
            writer.close()

    async with listening(pour) as port:
        stream = await shell.dial(AGENT, port)
        assert isinstance(stream, SshStream)
        channel = stream._channel
        assert channel
        await until(lambda: channel._recv_window < 32768)
        for _ in range(20):
            await run(shell, "true")
        assert stream._held + sum(len(data) for data, _ in channel._recv_buf) <= HELD + WINDOW
        await stream.close()


async def test_close_is_seen(shell: SshShell) -> None:
    """The server sees the end when we close, after all that was written."""
    got = asyncio.get_running_loop().create_future()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.read())
        writer.close()

    async with listening(collect) as port:
        stream = await shell.dial(AGENT, port)
        await stream.write(MEGABYTES)
        await stream.close()
        await stream.close()
        await stream.write(b"after the end")
        assert await got == MEGABYTES
