"""How much a copy is going to be, for who watches it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from vibespace.archive.pack import extents


def weigh(path: bytes) -> int:
    """Bytes that the files at and below `path` hold, as pack() counts them. What cannot be looked at counts nothing:
    who packs it says why.
    """
    top = os.path.realpath(path)
    if not os.path.isdir(top):
        return _held(top)
    return sum(_held(os.path.join(folder, name)) for folder, _, names in os.walk(top) for name in names)


def _held(path: bytes) -> int:
    with suppress(OSError):
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return 0
        if status.st_blocks * 512 >= status.st_size:
            return status.st_size
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return sum(length for _, length in extents(descriptor, os.fstat(descriptor)))
        finally:
            os.close(descriptor)
    return 0
