"""A way to a pod's port through the API server, for where its address leads nowhere: a socket like any other."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import aiohttp

from vibespace.engine import sshport
from vibespace.engine.kubeapi import Api
from vibespace.errors import Error

_DATA, _ERROR = 0, 1
_PIECE = 1 << 18
OPEN_SECONDS = 10.0


class Forwards:
    """Those that are open. Each is two ends of one pair: one is handed out, the other pumped until either is let go."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self, path: str, port: int) -> socket.socket:
        """A connected, non-blocking socket once sshd's banner has come through. Raises OSError while it does not."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        pump = asyncio.create_task(self._pump(path, port, theirs))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await sshport.banner(ours)
        except BaseException:
            ours.close()
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            raise
        return ours

    async def close(self) -> None:
        """Hang up on all."""
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, path: str, port: int, end: socket.socket) -> None:
        with end, suppress(OSError, Error, aiohttp.ClientError):  # whoever has the other end sees it close
            async with self._api.websocket(path, ports=str(port)) as websocket:
                out = asyncio.create_task(_send(websocket, end))
                try:
                    await _receive(websocket, end)
                finally:
                    out.cancel()
                    await asyncio.gather(out, return_exceptions=True)


async def _send(websocket: aiohttp.ClientWebSocketResponse, end: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(end, _PIECE):
        await websocket.send_bytes(bytes((_DATA,)) + piece)
    await websocket.close()  # there is no half of it that could be closed


async def _receive(websocket: aiohttp.ClientWebSocketResponse, end: socket.socket) -> None:
    """The first frame of each channel says which port it is of, and is nobody's."""
    loop, greeted = asyncio.get_running_loop(), set()
    async for message in websocket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            continue
        channel = message.data[0]
        if channel not in greeted:
            greeted.add(channel)
        elif channel == _DATA:
            await loop.sock_sendall(end, memoryview(message.data)[1:])
        elif channel == _ERROR:
            return
