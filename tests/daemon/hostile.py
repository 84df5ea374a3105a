"""Speaks to a daemon's socket as nobody should: raw bytes, and HTTP/2 that is right up to where it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An empty frame of settings, which begins a conversation."""
DATA, HEADERS = 0, 1
END_HEADERS = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(method: str) -> bytes:
    """The header block of a call, nothing compressed (RFC 7541, 6.2.2)."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/vibespace.v1.{method}",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


def half_a_call(method: str) -> bytes:
    """A call whose message is announced with 1000 bytes, of which 10 come."""
    begun = frame(HEADERS, END_HEADERS, 1, headers(method))
    return PREFACE + SETTINGS + begun + frame(DATA, 0, 1, b"\x00" + (1000).to_bytes(4, "big") + b"x" * 10)


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


@asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw connection."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        yield reader, writer
    finally:
        writer.close()


async def send_raw(channel: grpc.aio.Channel, method: str, *messages: bytes, **options: Any) -> list[bytes]:
    """What a method answers to messages that may be none of its own."""

    async def each() -> AsyncIterator[bytes]:
        for message in messages:
            yield message

    send: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/vibespace.v1.{method}")
    call = send(each(), **options)
    return [response async for response in call]
