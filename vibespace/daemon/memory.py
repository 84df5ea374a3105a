"""How the C library deals with memory: large messages are made and dropped by the thousand."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
"""Of mallopt(3)."""

_LARGE = 2 << 20
"""Bytes of one allocation that is mapped on its own: more than a message of a copy has, several times over."""

_SPARE = 4 << 20
"""Free bytes at the top of a heap that are kept for what comes next."""


def settle() -> None:
    """Give back what a start needed; from now on keep a little.

    By itself glibc gives each large message back to the kernel and asks for it again, page by page: that cost more
    than all else that is done to the bytes of a copy. Other C libraries have none of this, and nothing happens.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt"):
        libc.malloc_trim(0)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_TRIM_THRESHOLD, _SPARE)
