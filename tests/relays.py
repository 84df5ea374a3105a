"""Bytes passed on between two sockets, as a relay or a network does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


def join(client: socket.socket, server: socket.socket, see: Callable[[bytes], None] | None = None) -> None:
    """Both ways, until both ends have said all. `see` is shown what the server says."""
    back = threading.Thread(target=pass_on, args=(server, client, see), daemon=True)
    back.start()
    pass_on(client, server)
    back.join()


def pass_on(source: socket.socket, sink: socket.socket, see: Callable[[bytes], None] | None = None) -> None:
    """One way, the end included."""
    with suppress(OSError):  # one of them hung up, which is passed on too
        while piece := source.recv(1 << 20):
            if see:
                see(piece)
            sink.sendall(piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
