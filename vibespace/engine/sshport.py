"""Is that really sshd? A connected socket only once the ssh banner has come through it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

BANNER = b"SSH-"
_OURS = b"SSH-2.0-vibespace\r\n"


async def connect(host: str, port: int, *, seconds: float = 2.0) -> socket.socket:
    """A connected, non-blocking socket with the banner unread in it; the caller closes it.

    A port forward of the engine may accept before sshd listens behind it, so accepting proves nothing.
    Raises OSError, which TimeoutError is, while there is no sshd.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            await banner(sock)
    except BaseException:
        sock.close()
        raise
    return sock


async def banner(sock: socket.socket) -> None:
    """Return when it has come, and leave it unread. Raises ConnectionError for what is none."""
    await _readable(sock)
    seen = sock.recv(len(BANNER), socket.MSG_PEEK)
    if not seen or not BANNER.startswith(seen):
        raise ConnectionError("something answers that is not sshd, or nothing stands behind the port")


async def leave(sock: socket.socket, *, seconds: float = 2.0) -> None:
    """Close what `connect` returned as a client does that has changed its mind: of who leaves without a word, or with
    sshd's unread, its log complains.
    """
    loop = asyncio.get_running_loop()
    with sock, suppress(OSError):
        async with asyncio.timeout(seconds):
            await loop.sock_sendall(sock, _OURS)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 4096):
                pass  # what sshd would say to a client


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)
