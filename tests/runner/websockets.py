"""A server's end of a WebSocket, as wicked as a test wants it: for programs that the runner starts."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def listen(name: str = "s") -> socket.socket:
    path = os.path.join(os.environ["HOME"], name)
    if os.path.exists(path):
        os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    return server


def exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def accept(server: socket.socket) -> socket.socket:
    """The next client, once it is greeted as RFC 6455 says."""
    client = server.accept()[0]
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(client, 1)
    first, *fields = head.decode().split("\r\n")
    told = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    assert first.startswith("GET /"), first
    assert first.endswith(" HTTP/1.1"), first
    assert (told["upgrade"], told["connection"], told["sec-websocket-version"]) == ("websocket", "Upgrade", "13")
    assert len(base64.b64decode(told["sec-websocket-key"])) == 16
    digest = hashlib.sha1(told["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    return client


def frame(client: socket.socket, kind: int, data: bytes, *, last: bool = True) -> None:
    size = len(data)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + struct.pack(">H", size)
    else:
        length = b"\x7f" + struct.pack(">Q", size)
    client.sendall(bytes((kind | 0x80 * last,)) + length + data)


def say(client: socket.socket, text: str) -> None:
    frame(client, TEXT, text.encode())


def heard(client: socket.socket) -> tuple[int, bytes]:
    """Kind and content of the next frame."""
    first, second = exactly(client, 2)
    assert first & 0xF0 == 0x80, "a whole message is one frame"
    assert second & 0x80, "what a client says is masked"
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", exactly(client, 2))
    elif size == 127:
        (size,) = struct.unpack(">Q", exactly(client, 8))
    mask, data = exactly(client, 4), exactly(client, size)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
