"""Room on the disk that is kept for when there is none: to say so, to start, and to record what makes room again."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

SIZE = 8 << 20
"""Bytes. SQLite's WAL grows to 4 MiB before it is used again from its beginning; the other half is for the file."""

_MARGIN = 4 << 20
"""Bytes that must be free beyond it before it is held again: room that has just been given back is none."""


class Reserve:
    """A file without content. It is given back when a write fails, and held again as soon as it can be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.short = False
        """A write has failed, or the reserve could not be held, and there has been no room since."""

    def hold(self) -> bool:
        """Whether there is room; what is held already costs nothing."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, SIZE)
            finally:
                os.close(descriptor)
            self.short = False
        except OSError as e:
            if e.errno in (errno.ENOSPC, errno.EDQUOT):
                self.give_back()
            else:  # then there is none, which is no reason to refuse anything
                self.short = False
        return not self.short

    def give_back(self) -> None:
        """From now on there is as little room as that."""
        self.short = True
        self.release()

    def release(self) -> None:
        """For a start, which may need some before it knows."""
        with suppress(OSError):
            self._path.unlink()

    def has_room(self) -> bool:
        """As far as is known; when there was none, look again."""
        if not self.short:
            return True
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize >= SIZE + _MARGIN and self.hold()
