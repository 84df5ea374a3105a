"""The client's end of a WebSocket (RFC 6455) over a Unix socket: messages of text, no extensions."""

from __future__ import annotations

import binascii
import hashlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

from vibespace.runner.journal import PIECE

MOST_MESSAGE = 1 << 30
"""Bytes of one that is received."""
MOST_TOLD = 63 << 20
"""Bytes of one that are told, fewer than a record may have; the rest, such as of a list of images, is passed over."""
_SECONDS = 5.0
"""For the server's consent: one that accepts and says nothing is asked again."""
_MOST_HEAD = 1 << 14
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""By which a server shows that it is one."""
_MORE, _TEXT, _CLOSE, _PING, _PONG = 0, 1, 8, 9, 10
_LAST, _MASKED = 0x80, 0x80
_BROKEN, _UNWANTED, _TOO_BIG = 1002, 1003, 1009


class WebSocket:
    """One connection. Who receives is told by a ConnectionError that it is over, or not as it should be."""

    def __init__(self, path: str) -> None:
        """Connects; raises OSError where nobody listens."""
        self._sending = threading.Lock()
        self._pong: bytes | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_SECONDS)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._input = self._socket.makefile("rb", buffering=PIECE)

    @property
    def server(self) -> int:
        """The process that listens."""
        return int.from_bytes(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)

    def open(self) -> None:
        """Both agree to speak so. Raises OSError when they do not."""
        key = binascii.b2a_base64(os.urandom(16), newline=False)
        self._socket.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key
        )
        status = self._input.readline(_MOST_HEAD).split(None, 2)
        fields: dict[bytes, bytes] = {}
        while (line := self._input.readline(_MOST_HEAD)).strip() and len(fields) < 100:
            name, _, value = line.partition(b":")
            fields[name.strip().lower()] = value.strip()
        digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
        accepted = fields.get(b"sec-websocket-accept") == binascii.b2a_base64(digest, newline=False)
        if status[1:2] != [b"101"] or not accepted:
            raise ConnectionError("who listens is no WebSocket server")
        self._socket.settimeout(None)

    def send(self, text: bytes) -> None:
        """One message."""
        with self._sending:
            self._frame(_TEXT, text)
        self._answer()

    def receive(self) -> Iterator[bytes]:
        """The next message, in pieces; of a very long one its beginning."""
        kind, total, told, last = _TEXT, 0, 0, False
        while not last:
            last, found, length = self._head()
            if found >= _CLOSE:
                self._control(found, self._exactly(length))
                last = False
                continue
            if found != kind:
                raise self._refused(_UNWANTED if kind == _TEXT and found == 2 else _BROKEN)
            kind, total = _MORE, total + length
            if total > MOST_MESSAGE:
                raise self._refused(_TOO_BIG)
            while length:
                piece = self._exactly(min(length, PIECE))
                length -= len(piece)
                if told < MOST_TOLD:
                    told += len(piece)
                    yield piece

    def end(self) -> None:
        """Receive what is on its way, and then that it is over. From any thread."""
        with suppress(OSError):  # it is over
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Of who receives: nobody says anything any more, either way."""
        self.abort()
        self._input.close()
        self._socket.close()

    def abort(self) -> None:
        """It cannot be used any more: who receives is told so. From any thread."""
        with suppress(OSError):  # it is over
            self._socket.shutdown(socket.SHUT_RDWR)

    def _head(self) -> tuple[bool, int, int]:
        """Of the next frame: whether it is its message's last, its kind, its length."""
        first, second = self._exactly(2)
        length = second & 0x7F
        control = first & 0x0F >= _CLOSE
        if first & 0x70 or second & _MASKED or (control and (length > 125 or not first & _LAST)):
            raise self._refused(_BROKEN)
        if length > 125:
            length = int.from_bytes(self._exactly(2 if length == 126 else 8))
        return bool(first & _LAST), first & 0x0F, length

    def _control(self, kind: int, text: bytes) -> None:
        if kind == _CLOSE:
            self._part(text[:2])
            code = int.from_bytes(text[:2]) if len(text) > 1 else 1005
            raise ConnectionError(f"closed with {code} {text[2:].decode(errors='replace')}".strip())
        if kind == _PING:
            self._pong = text
            self._answer()
        elif kind != _PONG:
            raise self._refused(_BROKEN)

    def _answer(self) -> None:
        """The latest ping, after a message that is just being sent: by who sends it, so that receiving goes on."""
        while self._pong is not None and self._sending.acquire(blocking=False):
            try:
                pong, self._pong = self._pong, None
                if pong is not None:
                    self._frame(_PONG, pong)
            finally:
                self._sending.release()

    def _refused(self, code: int) -> ConnectionError:
        self._part(code.to_bytes(2))
        return ConnectionError(f"what came is refused with {code}")

    def _part(self, code: bytes) -> None:
        """The last word, if it can be said: not while a message is being sent, for then it would be half a one."""
        if self._sending.acquire(blocking=False):
            with suppress(OSError):
                self._socket.settimeout(_SECONDS)
                self._frame(_CLOSE, code)
            self._sending.release()

    def _frame(self, kind: int, text: bytes) -> None:
        """Masked, as what a client says must be, a piece in memory at a time."""
        size = len(text)
        if size < 126:
            head = bytes((_LAST | kind, _MASKED | size))
        elif size < 1 << 16:
            head = bytes((_LAST | kind, _MASKED | 126)) + size.to_bytes(2)
        else:
            head = bytes((_LAST | kind, _MASKED | 127)) + size.to_bytes(8)
        mask = os.urandom(4)
        head += mask
        for at in range(0, max(size, 1), PIECE):
            piece = text[at : at + PIECE]
            pattern = (mask * (len(piece) // 4 + 1))[: len(piece)]
            masked = int.from_bytes(piece) ^ int.from_bytes(pattern)
            self._socket.sendall(head + masked.to_bytes(len(piece)))
            head = b""

    def _exactly(self, size: int) -> bytes:
        data = self._input.read(size) if size else b""
        if len(data) < size:
            raise ConnectionError("the server went without a word")
        return data
