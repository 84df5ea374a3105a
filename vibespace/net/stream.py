"""Bytes to and from a port inside a container, on one ssh channel."""

from __future__ import annotations

import asyncio

import asyncssh

from vibespace.net.channel import Channel

FLUSH = 5.0
"""Seconds that what was written may take to go out, once its writer has closed."""


class SshStream(Channel, asyncssh.SSHTCPSession[bytes]):
    """net.base.Stream over a direct-tcpip channel."""

    async def read(self, limit: int) -> bytes:
        piece = await self.take(limit)
        return piece.data if piece else b""

    async def write(self, data: bytes) -> None:
        await self.send(data)

    async def write_eof(self) -> None:
        self.send_eof()

    async def close(self) -> None:
        if self.lost.is_set() or self._channel is None:
            return
        self.discard()
        self._channel.close()
        try:
            async with asyncio.timeout(FLUSH):
                await self.lost.wait()
        except TimeoutError:
            # Its reader does not read; what is left for it is dropped.
            self.abort()
