"""There is one heap, and what lies free in it goes back to the kernel, without anything being asked for."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from tests.net.running import until
from vibespace.daemon import memory

HEAPS = """
import ctypes, threading
from vibespace.daemon import memory
memory.share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
held = threading.Barrier(5)
def use():
    libc.malloc(1000)
    held.wait()
for _ in range(4):
    threading.Thread(target=use).start()
held.wait()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""
PIECE, PIECES = 64 << 10, 1000
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]


def resident() -> int:
    """Pages of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_threads_share_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", HEAPS], capture_output=True, check=True, text=True)
    assert done.stdout.count("<heap nr=") == 1


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
