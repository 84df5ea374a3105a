"""`vibespace exec`: a command in an agent's container, with its input, output, signals and exit code.

Binary clean in both directions, and never more in memory than a few pieces: whoever is slow slows the others.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType

import click

from vibespace.errors import Unavailable
from vibespace.v1.agents_pb2 import ExecRequest, ExecResponse
from vibespace_cli import build
from vibespace_cli.invocation import Invocation

_PIECE = 65536
"""Bytes of one message of input."""

_AHEAD = 16
"""Pieces of input read and not yet sent."""

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_BROKEN_PIPE = 128 + signal.SIGPIPE
"""What a shell reports of a command whose reader went away."""


def command(words: tuple[str, ...]) -> click.Command:
    """The command."""
    text = "Pass the terminal's input on; input that is not a terminal is passed on anyway."
    return build.command(words, run, [click.Option(["-i", "--interactive"], is_flag=True, help=text)], content=True)


def run(invocation: Invocation) -> int:
    """Run it; returns the exit code of the command."""
    source = _Input(invocation.request)
    if invocation.params.get("interactive") or not _is_terminal(0):
        threading.Thread(target=source.pump, args=(0,), daemon=True).start()
    else:
        source.close()
    for number in _FORWARDED:
        signal.signal(number, source.signal)
    responses = invocation.session.client.converse(invocation.method.full_name, source, ExecResponse)
    for response in responses:
        if response.HasField("exit"):
            return response.exit.code
        try:
            _write(1, response.stdout) if response.stdout else _write(2, response.stderr)
        except BrokenPipeError:
            source.send(ExecRequest(signal="PIPE"))
            return _BROKEN_PIPE
    raise Unavailable("EXEC_CUT", "The connection ended before the command did.", hint="It may still run.")


class _Input:
    """The requests of one call: first `start`, then input and signals as they come."""

    def __init__(self, start: ExecRequest) -> None:
        self._ready: SimpleQueue[ExecRequest] = SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._ready.put(start)

    def __iter__(self) -> Iterator[ExecRequest]:
        """gRPC's own thread takes these, the next one when the one before is on its way."""
        while True:
            request = self._ready.get()
            yield request
            if request.HasField("stdin"):
                self._room.release()

    def send(self, request: ExecRequest) -> None:
        """Send `request` after what is already waiting."""
        self._ready.put(request)

    def close(self) -> None:
        """No more input will come; signals still may."""
        self.send(ExecRequest(stdin_closed=True))

    def pump(self, descriptor: int) -> None:
        """Read `descriptor` to its end, as fast as the command takes it."""
        while True:
            try:
                data = os.read(descriptor, _PIECE)
            except OSError:  # Not readable, such as a closed descriptor 0: there is no input.
                data = b""
            if not data:
                return self.close()
            self._room.acquire()
            self.send(ExecRequest(stdin=data))

    def signal(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on instead of dying of it."""
        self.send(ExecRequest(signal=signal.Signals(number).name.removeprefix("SIG")))


def _write(descriptor: int, data: bytes) -> None:
    """All of `data`, past Python's buffers: order between the two outputs is as it came."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
