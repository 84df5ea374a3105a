"""Commands and ports of all agents: net.base.Shell over the kept ssh connections."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncssh

from vibespace.errors import Error, Exhausted, Unavailable
from vibespace.net.base import Dialer, Keys, Process, Stream, Terminal
from vibespace.net.channel import WINDOW
from vibespace.net.connections import Connections
from vibespace.net.process import GRACE, MARK, SWEEP, SshProcess, command_line
from vibespace.net.stream import SshStream

OPEN_SECONDS = 15.0
"""For opening a channel on a connection that is there (2 ms is usual); after that the connection counts as dead."""

LOOPBACK = ("127.0.0.1", "::1")

ConnectionT = asyncssh.SSHClientConnection
ChannelT = TypeVar("ChannelT", SshProcess, SshStream)
Opener = Callable[[ConnectionT, ChannelT], Awaitable[object]]


class _NothingSent(Exception):
    """The connection turned out dead before anything was asked on it: asking on another one cannot do it twice."""


class _Refused(Exception):
    """A live sshd did not open the channel, or could not start what was asked for on it."""


class SshShell:
    """net.base.Shell. What it started and still runs, it ends when it is closed."""

    def __init__(self, dialer: Dialer, keys: Keys, *, user: str = "agent") -> None:
        self._connections = Connections(dialer, keys, user)
        self._open: set[SshProcess | SshStream] = set()
        self._abandoned: set[asyncio.Task[None]] = set()

    async def start(
        self, agent_uid: str, command: Sequence[str], *, directory: str = "", terminal: Terminal | None = None
    ) -> Process:
        mark = "" if terminal else secrets.token_hex(8)
        return await self._start(agent_uid, command, directory, mark, terminal)

    async def dial(self, agent_uid: str, port: int) -> Stream:
        for host in LOOPBACK:
            try:
                return await self._opened(agent_uid, SshStream, _tcp(host, port))
            except _Refused as e:
                refused = e
        raise Unavailable(
            "PORT_CLOSED",
            f"Nothing listens on port {port} inside.",
            field="port",
            hint="Start the server there first, then try again.",
        ) from refused

    async def forget(self, agent_uid: str) -> None:
        await self._connections.drop(agent_uid)

    async def close(self) -> None:
        ending = [channel.close() for channel in self._open]
        await asyncio.gather(*ending, *self._abandoned, return_exceptions=True)
        await self._connections.close()

    async def _start(
        self, agent_uid: str, command: Sequence[str], directory: str, mark: str, terminal: Terminal | None = None
    ) -> SshProcess:
        line = command_line(command, directory, mark, terminal)

        async def sweep(mark: str, signal: str) -> bool:
            return await self._sweep(agent_uid, mark, signal)

        try:
            return await self._opened(agent_uid, lambda: SshProcess(mark, sweep), _session(line, terminal))
        except _Refused as e:
            raise Exhausted(
                "TOO_MANY_COMMANDS",
                "The agent cannot run one more command now: it has as many commands or processes as it may.",
                hint="End some of them, then try again.",
            ) from e

    async def _sweep(self, agent_uid: str, mark: str, signal: str) -> bool:
        """Run process.SWEEP: without a mark, so that it does not find itself."""
        words = ["timeout", str(GRACE), "sh", "-c", SWEEP, "sh", f"{MARK}={mark}", signal]
        try:
            process = await self._start(agent_uid, words, "", "")
        except Exhausted:
            return True  # what sshd itself signals must do
        return (await process.wait()).code == 0

    async def _opened(self, agent_uid: str, make: Callable[[], ChannelT], opener: Opener[ChannelT]) -> ChannelT:
        """A channel opened on that agent's connection, or on a new one if the first was dead already."""
        connection = await self._connections.get(agent_uid)
        try:
            return await self._uncancelled(connection, make(), opener)
        except _NothingSent:
            await self._connections.drop(agent_uid, connection)
        connection = await self._connections.get(agent_uid)
        try:
            return await self._uncancelled(connection, make(), opener)
        except _NothingSent as e:
            raise _broke() from e

    async def _uncancelled(self, connection: ConnectionT, channel: ChannelT, opener: Opener[ChannelT]) -> ChannelT:
        """Open to the end even when the caller is cancelled: half-open channels would stay, and commands run."""
        opening = asyncio.create_task(self._attempt(connection, channel, opener))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            abandoned = asyncio.create_task(_abandon(opening, channel))
            self._abandoned.add(abandoned)
            abandoned.add_done_callback(self._abandoned.discard)
            raise
        return channel

    async def _attempt(self, connection: ConnectionT, channel: ChannelT, opener: Opener[ChannelT]) -> None:
        channel.when_lost = lambda: self._open.discard(channel)
        self._open.add(channel)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await opener(connection, channel)
        except (TimeoutError, OSError, asyncssh.Error) as e:
            self._open.discard(channel)
            if isinstance(e, TimeoutError):
                connection.abort()
            if isinstance(e, asyncssh.ChannelOpenError) and not _closed(connection, e):
                raise _Refused from e
            if channel.made:
                raise _broke() from e
            raise _NothingSent from e


async def _abandon(opening: asyncio.Task[None], channel: SshProcess | SshStream) -> None:
    await asyncio.wait([opening])
    if opening.exception() is None:
        await channel.close()


def _session(line: str, terminal: Terminal | None) -> Opener[SshProcess]:
    return lambda connection, process: connection.create_session(
        lambda: process,
        line,
        encoding=None,
        window=WINDOW,
        request_pty="force" if terminal else False,
        term_type=terminal.type if terminal else None,
        term_size=(terminal.columns, terminal.rows) if terminal else None,
        term_modes={asyncssh.PTY_IUTF8: 1} if terminal else None,  # erasing takes a whole character
    )


def _tcp(host: str, port: int) -> Opener[SshStream]:
    return lambda connection, stream: connection.create_connection(
        lambda: stream, host, port, encoding=None, window=WINDOW
    )


def _closed(connection: ConnectionT, refusal: asyncssh.ChannelOpenError) -> bool:
    """asyncssh says it in words when the connection is closed but not yet cleaned up."""
    return connection.is_closed() or refusal.reason == "SSH connection closed"


def _broke() -> Error:
    return Unavailable(
        "AGENT_UNREACHABLE",
        "The connection to the agent broke.",
        hint="See how the agent is with 'vibespace info'.",
    )
