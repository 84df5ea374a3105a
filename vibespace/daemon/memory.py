"""How the C library deals with memory: large messages are made and dropped by the thousand."""

from __future__ import annotations

import asyncio
import ctypes

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8
"""Of mallopt(3)."""

_LARGE = 2 << 20
"""Bytes of one allocation that is mapped on its own: more than a message of a copy has, several times over."""

_SPARE = 4 << 20
"""Free bytes at the top of a heap that are kept for what comes next."""

_PAUSE = 60.0
"""Seconds; each costs a tenth of a millisecond."""


def share_one_heap() -> None:
    """Have all threads use one; to be called before there are any.

    By itself glibc gives each of them a heap of its own, and most of each lies free: a daemon had twice what it used.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_ARENA_MAX, 1)


def keep_heaps() -> None:
    """Give back what a start has dropped; from here on keep a little of what was used for what comes next.

    By itself glibc gives each large message back to the kernel and asks for it again, page by page: that cost more
    than all else that is done to the bytes of a copy. Other C libraries have no mallopt, and nothing happens.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.malloc_trim(0)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _SPARE)


async def run() -> None:
    """Give back, once in a while, what lies free between that which is used.

    What lives long is made among what is dropped at once, so heaps never end in free pages, and without this they have
    twice what is used after a day of people coming and going, and more the day after.
    """
    libc = ctypes.CDLL(None)
    while hasattr(libc, "malloc_trim"):
        await asyncio.sleep(_PAUSE)
        libc.malloc_trim(_SPARE)
