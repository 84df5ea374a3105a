"""What lies free between that which is used goes back to the kernel, without anything being asked for."""

from __future__ import annotations

import asyncio
import ctypes
from pathlib import Path

import pytest

from tests.net.running import until
from vibespace.daemon import memory

PIECE, PIECES = 64 << 10, 1000
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]


def resident() -> int:
    """Pages of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1])


async def test_free_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PAUSE", 0.01)
    before = resident()
    pieces = [libc.malloc(PIECE) for _ in range(PIECES)]
    last = libc.malloc(PIECE)  # as what lives long: nothing before it is the end of the heap
    for piece in pieces:
        ctypes.memset(piece, 1, PIECE)
    full = resident()
    for piece in pieces:
        libc.free(piece)
    giving = asyncio.create_task(memory.run())
    try:
        await until(lambda: resident() < before + (full - before) // 4)
    finally:
        giving.cancel()
        libc.free(last)
