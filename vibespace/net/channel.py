"""One ssh channel with bounded memory: the side that is slow holds the other one up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncssh

from vibespace.net.base import Output

WINDOW = 1 << 20
"""Bytes a channel's other side may send ahead of what we have taken (the ssh window)."""

HELD = 1 << 18
"""Bytes held for a reader that does not read, before the window is left to fill. Also what a writer may be ahead."""

PIECE = 1 << 16
"""Most bytes handed over in one piece."""

BESIDE = 256
"""Bytes of memory that a piece takes beside its data: a command may write one byte at a time."""


class Channel:
    """What a command's channel and a port's channel have in common, as asyncssh calls it back."""

    def __init__(self) -> None:
        self.made = False
        """The other side has opened the channel: what was asked for on it may have happened."""
        self.lost = asyncio.Event()
        """The channel has closed, and all that came on it was handed over."""
        self.when_lost: Callable[[], object] = lambda: None
        """Called then."""
        self._channel: asyncssh.SSHClientChannel[bytes] | asyncssh.SSHTCPChannel[bytes] | None = None
        self._pieces: deque[Output] = deque()
        self._held = 0
        self._over = False
        self._discarding = False
        self._paused = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    # What asyncssh calls.

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        self.made = True
        chan.set_write_buffer_limits(high=HELD, low=HELD // 2)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._discarding:
            return
        self._pieces.append(Output(data, datatype == asyncssh.EXTENDED_DATA_STDERR))
        self._held += len(data) + BESIDE
        self._arrived.set()
        if self._held >= HELD and not self._paused and self._channel:
            self._paused = True
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        self._end()
        return True  # its own direction goes on: a port may be half closed, a command still tells its exit

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (whether an exit came says it better)
        self._end()
        self._room.set()
        self.lost.set()
        self.when_lost()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _end(self) -> None:
        self._over = True
        self._arrived.set()

    # What its user calls.

    async def take(self, limit: int) -> Output | None:
        """The next bytes, at most `limit`, all of one stream; None at the end."""
        while not self._pieces:
            if self._over:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        first = self._pieces.popleft()
        if len(first.data) > limit:
            self._pieces.appendleft(Output(first.data[limit:], first.stderr))
            self._taken(limit)
            return Output(first.data[:limit], first.stderr)
        joined, size = [first.data], len(first.data)
        while self._pieces and self._pieces[0].stderr == first.stderr and size + len(self._pieces[0].data) <= limit:
            joined.append(self._pieces.popleft().data)
            size += len(joined[-1])
        self._taken(size + BESIDE * len(joined))
        return Output(b"".join(joined), first.stderr)

    def _taken(self, size: int) -> None:
        self._held -= size
        if self._paused and self._held <= HELD // 2:
            self._resume()

    async def send(self, data: bytes) -> None:
        """Send `data`; returns when there is room for more. Nothing happens when the channel has closed."""
        for start in range(0, len(data), PIECE):
            await self._room.wait()
            if self._channel is None or self._channel.is_closing():
                return
            self._channel.write(data[start : start + PIECE])
        await self._room.wait()

    def send_eof(self) -> None:
        """End this direction."""
        if self._channel and not self._channel.is_closing():
            self._channel.write_eof()

    def discard(self) -> None:
        """Throw away what came and will come: data that nobody takes must not hold up the news of the end."""
        self._discarding = True
        self._pieces.clear()
        self._held = 0
        self._resume()

    def abort(self) -> None:
        """Close the channel now, whatever is still under way on it."""
        if self._channel and not self.lost.is_set():
            self._channel.abort()

    def _resume(self) -> None:
        if self._paused and self._channel:
            self._paused = False
            self._channel.resume_reading()
