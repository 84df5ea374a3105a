"""A folder in which something is made before it is moved to its place, and what became of those that others left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator

PREFIX = b".vibespace-copying-"
"""How its name begins; what begins so and that nobody holds a lock on was left by a copy that was killed."""

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder that we made is opened: what has taken its place is not followed."""


@contextlib.contextmanager
def draft(parent: bytes) -> Iterator[tuple[int, int]]:
    """The folder `parent`, and a new one in it that is gone afterwards: both open."""
    with contextlib.ExitStack() as stack:
        folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, folder)
        _tidy(folder)
        name, own = _make(folder)
        stack.callback(os.close, own)
        stack.callback(remove, folder, name)
        yield folder, own


def _make(folder: int) -> tuple[bytes, int]:
    """Made and locked, and not taken for a left one by somebody in between."""
    while True:
        name = PREFIX + os.urandom(8).hex().encode()
        os.mkdir(name, 0o700, dir_fd=folder)
        with contextlib.suppress(FileNotFoundError):
            own = os.open(name, OPEN, dir_fd=folder)
            if _lock(own) is not False and os.fstat(own).st_nlink:
                return name, own
            os.close(own)


def _tidy(folder: int) -> None:
    """Take away what was left."""
    for name in map(os.fsencode, os.listdir(folder)):
        if name.startswith(PREFIX):
            with contextlib.suppress(OSError):  # somebody else's, or just gone
                left = os.open(name, OPEN, dir_fd=folder)
                try:
                    if _lock(left):
                        remove(folder, name)
                finally:
                    os.close(left)


def _lock(descriptor: int) -> bool | None:
    """Whether it is ours now; None where there are no locks, as on some network file systems."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        return False if isinstance(e, BlockingIOError) else None
    return True


def remove(folder: int, name: bytes) -> None:
    """All of it, folders that may not be written to as well."""
    try:
        os.unlink(name, dir_fd=folder)
        return
    except (IsADirectoryError, PermissionError):  # macOS calls the first the second
        os.chmod(name, stat.S_IRWXU, dir_fd=folder)
    own = os.open(name, OPEN, dir_fd=folder)
    try:
        for each in os.listdir(own):
            remove(own, os.fsencode(each))
    finally:
        os.close(own)
    os.rmdir(name, dir_fd=folder)
