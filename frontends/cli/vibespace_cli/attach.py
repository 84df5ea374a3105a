"""A command inside, joined to our standard files: its input, output, signals, terminal and exit code.

Binary clean in both directions, and never more in memory than a few pieces: whoever is slow slows the others.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from queue import SimpleQueue
from types import FrameType

from vibespace.errors import Unavailable
from vibespace.v1.agents_pb2 import ExecRequest, ExecResponse
from vibespace_cli import terminal
from vibespace_cli.session import Session

_PIECE = 65536
"""Bytes of one message of input."""

_AHEAD = 16
"""Pieces of input read and not yet sent."""

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends us and not the command when it has our terminal: it hangs up on the command then."""

_BROKEN_PIPE = 128 + signal.SIGPIPE
"""What a shell reports of a command whose reader went away."""


def attach(session: Session, start: ExecRequest, *, reads: bool) -> int:
    """Run what `start` says until it ends; returns its exit code. With `reads` it gets our input.

    When it also gets a terminal, that stands in for ours.
    """
    joined = terminal.Raw(0) if reads and start.start.HasField("terminal") else None
    source = _Input(start)
    for number in _FORWARDED:
        signal.signal(number, source.signal)
    if joined:
        for number in _ENDING:
            signal.signal(number, partial(_end, joined))
    if start.start.HasField("terminal"):
        signal.signal(signal.SIGWINCH, source.resize)
    with joined or contextlib.nullcontext():
        if reads:
            threading.Thread(target=source.pump, args=(0, bool(joined)), daemon=True).start()
        else:
            source.close()
        return _pass_on(session, source)


def _pass_on(session: Session, source: _Input) -> int:
    for response in session.client.converse("AgentService/Exec", source, ExecResponse):
        if response.HasField("exit"):
            return response.exit.code
        try:
            write(1, response.stdout) if response.stdout else write(2, response.stderr)
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

    def pump(self, descriptor: int, terminal: bool) -> None:
        """Read `descriptor` to its end, as fast as the command takes it. A raw terminal ends only when it goes away."""
        while True:
            try:
                data = os.read(descriptor, _PIECE)
            except OSError:  # Not readable, such as a closed descriptor 0: there is no input.
                data = b""
            if not data:
                return os.kill(os.getpid(), signal.SIGHUP) if terminal else self.close()
            self._room.acquire()
            self.send(ExecRequest(stdin=data))

    def signal(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on instead of dying of it."""
        self.send(ExecRequest(signal=signal.Signals(number).name.removeprefix("SIG")))

    def resize(self, _number: int, _: FrameType | None) -> None:
        """Our terminal has another size now: so has the command's."""
        self.send(ExecRequest(resize=terminal.size()))


def _end(raw: terminal.Raw, number: int, _: FrameType | None) -> None:
    """The terminal is put back, and that we are gone hangs up. Nothing is raised, for gRPC may be amid anything."""
    raw.restore()
    os._exit(128 + number)


def write(descriptor: int, data: bytes) -> None:
    """All of `data`, past Python's buffers: order between the two outputs is as it came."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
