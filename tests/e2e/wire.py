"""A program between a client and its daemon that passes on bytes and nothing else.

python -m tests.e2e.wire LISTEN CONNECT. It says `ready`, and ends with its input. What a socket tells besides its bytes
(who is at the other end, where, descriptors) is the program's own: it is what a network would be.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress

from tests.relays import join


def main(listen: str, connect: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(listen)
        listener.listen(128)
        threading.Thread(target=_accept, args=(listener, connect), daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()


def _accept(listener: socket.socket, connect: str) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, connect), daemon=True).start()


def _serve(client: socket.socket, connect: str) -> None:
    """Where nobody is, the client is hung up on."""
    with client, socket.socket(socket.AF_UNIX) as daemon, suppress(OSError):
        daemon.connect(connect)
        join(client, daemon)


if __name__ == "__main__":
    main(*sys.argv[1:])
