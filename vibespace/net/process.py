"""A command that runs in a container, on one ssh channel."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal as signals
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncssh

from vibespace.errors import InvalidArgument, Unavailable
from vibespace.net.base import Exit, Output, Terminal
from vibespace.net.channel import PIECE, Channel

SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")
"""What sshd passes on."""

COMMAND_BYTES = 128 * 1024 - 1
"""sshd hands the command to the user's shell as one argument, and Linux takes no longer one (MAX_ARG_STRLEN)."""

MARK = "VIBESPACE_COMMAND"
"""In the environment of a command and so of all its children: how those that left its process group are found. Not of
one on a terminal, which what leaves it outlives."""

MOST_CHARACTERS = 10_000
"""In a terminal's line, and lines: no screen is larger."""

KNOWN_TERM = "infocmp >/dev/null 2>&1 || export TERM=xterm-256color; "
"""A terminal that the container has not heard of is taken for what nearly all are like."""

GRACE = 2
"""Seconds a command has to end after each signal, when we give up on it."""

SWEEP = """\
of() { grep -lszFx -e "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
for pid in $(of "$1"); do kill -s "$2" "$pid" 2>/dev/null; done
while [ -n "$(of "$1")" ]; do sleep 0.05; done
"""
"""Signals all that carries a mark ($1 MARK=value, $2 signal) and ends once none of it is left."""

Sweep = Callable[[str, str], Awaitable[bool]]
"""(mark, signal) -> whether nothing that carries the mark is left; raises Unavailable without a connection."""


class SshProcess(Channel, asyncssh.SSHClientSession[bytes]):
    """net.base.Process over a session channel."""

    def __init__(self, mark: str, sweep: Sweep) -> None:
        super().__init__()
        self._mark = mark
        self._sweep = sweep
        self._exit: Exit | None = None
        self._exited = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    def exit_status_received(self, status: int) -> None:
        self._ended(Exit(status))

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002
        number = signals.Signals.__members__.get(f"SIG{signal}", 0)
        self._ended(Exit(128 + number, signal if number else "UNKNOWN"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._exited.set()

    def _ended(self, exit_: Exit) -> None:
        self._exit = exit_
        self._exited.set()

    async def write(self, data: bytes) -> None:
        await self.send(data)

    async def write_eof(self) -> None:
        self.send_eof()

    def signal(self, name: str) -> None:
        if name not in SIGNALS:
            raise InvalidArgument(
                "SIGNAL_UNKNOWN",
                f"There is no signal {name!r} to send.",
                field="signal",
                hint=f"It is one of {', '.join(SIGNALS)}.",
            )
        if not self.lost.is_set() and isinstance(self._channel, asyncssh.SSHClientChannel):
            self._channel.send_signal(name)

    def resize(self, columns: int, rows: int) -> None:
        check_size(columns, rows)
        if not self.lost.is_set() and isinstance(self._channel, asyncssh.SSHClientChannel):
            self._channel.change_terminal_size(columns, rows)

    async def output(self) -> AsyncIterator[Output]:
        while (piece := await self.take(PIECE)) is not None:
            yield piece

    async def wait(self) -> Exit:
        await self._exited.wait()
        if self._exit is None:
            raise Unavailable(
                "AGENT_UNREACHABLE",
                "The connection to the agent broke before that was over.",
                hint="See how the agent is with 'vibespace info'.",
            )
        return self._exit

    async def close(self) -> None:
        if self.lost.is_set():
            return
        if self._exit is not None and self._over:
            self.abort()  # it has ended and said so; only the channel's own end is still on its way
            return
        if self._closing is None:
            self._closing = asyncio.create_task(self._give_up())
        await asyncio.shield(self._closing)

    async def _give_up(self) -> None:
        """HUP, TERM, KILL: to its group by sshd (it may be too young to be marked), to all of it by its mark.

        Without a mark it is on a terminal, which hangs up when its channel is closed.
        """
        self.discard()
        if not self._mark:
            self.abort()
            return
        try:
            for name in ("HUP", "TERM", "KILL"):
                self.signal(name)
                if await self._sweep(self._mark, name) and await self._exits():
                    break
        except Unavailable:
            return  # no connection, no way to it: its channel is closed with that
        finally:
            self.abort()

    async def _exits(self) -> bool:
        try:
            async with asyncio.timeout(GRACE):
                await self._exited.wait()
        except TimeoutError:
            return False
        return True


def check_size(columns: int, rows: int) -> None:
    """Raises InvalidArgument TERMINAL_INVALID."""
    if not (1 <= columns <= MOST_CHARACTERS and 1 <= rows <= MOST_CHARACTERS):
        raise InvalidArgument("TERMINAL_INVALID", f"No terminal has {columns} columns and {rows} rows.", field="size")


def command_line(command: Sequence[str], directory: str, mark: str, terminal: Terminal | None = None) -> str:
    """What sshd gives to the user's shell, so that exactly `command` runs in place of that shell.

    Raises InvalidArgument COMMAND_INVALID, COMMAND_TOO_LONG, TERMINAL_INVALID.
    """
    if terminal:
        check_size(terminal.columns, terminal.rows)
        if not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}", terminal.type):
            raise InvalidArgument("TERMINAL_INVALID", f"{terminal.type!r} is no type of terminal.", field="type")
    if not command or not command[0]:
        raise InvalidArgument("COMMAND_INVALID", "There is no command to run.", field="command")
    if any("\0" in word for word in (*command, directory)):
        raise InvalidArgument("COMMAND_INVALID", "A command cannot hold a NUL character.", field="command")
    enter = f"cd -- {shlex.quote(directory)} && " if directory else ""
    begin = KNOWN_TERM if terminal else f"export {MARK}={mark}; "
    line = f"{begin}{enter}exec -- {shlex.join(command)}"
    if len(line.encode()) > COMMAND_BYTES:
        raise InvalidArgument(
            "COMMAND_TOO_LONG",
            f"A command can be {COMMAND_BYTES // 1024} KiB long.",
            field="command",
            hint="Send what is longer through standard input.",
        )
    return line
