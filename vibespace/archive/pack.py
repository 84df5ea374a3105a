"""A file or a folder into an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from vibespace.archive import tar
from vibespace.archive.failures import Failure, of, shown
from vibespace.archive.tar import FILE, FOLDER, LINK, OTHER, Counted, Entry, Extents, Told

MOST_EXTENTS = 10_000
"""Of one sparse file; what is scattered more than that travels whole."""

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # what turned into a FIFO since we looked does not hold us up


def _ignored(_: object) -> None:
    """Nobody wants to hear of it."""


def pack(
    path: bytes, name: bytes, where: str, counted: Counted = _ignored, left_out: Told = _ignored
) -> Iterator[bytes]:
    """The archive of `path`, called `name` in it. A link at `path` itself is followed, all below it stay links.

    Raises Failure.
    """
    return tar.gathered(_pack(path, name, where, counted, left_out))


def _pack(top: bytes, name: bytes, where: str, counted: Counted, left_out: Told) -> Iterator[bytes]:
    top = os.path.realpath(top)
    pending = [(top, name)]
    while pending:
        path, inner = pending.pop()
        try:
            status = os.lstat(path)
            entry = Entry(inner, OTHER, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
            if stat.S_ISREG(status.st_mode):
                yield from _file(path, entry, counted)
                continue
            if stat.S_ISDIR(status.st_mode):
                entry.kind = FOLDER
                below = sorted(os.listdir(path), reverse=True)
                pending += [(os.path.join(path, each), inner + b"/" + each) for each in below]
            elif stat.S_ISLNK(status.st_mode):
                entry.kind, entry.target = LINK, os.readlink(path)
            elif path == top:
                what = f"{shown(path)} {where} is neither a file nor a folder."
                raise Failure("FailedPrecondition", "FILE_REFUSED", what)
            else:
                left_out(path)
            yield tar.head(entry)
        except OSError as e:
            raise of(e, path, where) from e
    yield tar.END


def _file(path: bytes, entry: Entry, counted: Counted) -> Iterator[bytes]:
    descriptor = os.open(path, _READ | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        entry.kind, entry.size = FILE, status.st_size
        entry.extents = extents(descriptor, status)
        yield tar.head(entry)
        sent = 0
        for offset, length in entry.extents:
            end = offset + length
            while offset < end:
                piece = os.pread(descriptor, min(tar.PIECE, end - offset), offset)
                if not piece:
                    what = f"{shown(path)} became shorter while it was read."
                    raise Failure("Aborted", "FILE_CHANGED", what, "Try again.")
                offset, sent = offset + len(piece), sent + len(piece)
                counted(len(piece))
                yield piece
        yield tar.padding(sent)
    finally:
        os.close(descriptor)


def extents(descriptor: int, status: os.stat_result) -> Extents:
    """What the file holds, where it has holes; all of it, where the file system does not say."""
    if status.st_blocks * 512 >= status.st_size:
        return [(0, status.st_size)]
    found: Extents = []
    offset = 0
    while offset < status.st_size:
        try:
            begin = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # there are only holes from here on
            break
        if begin >= status.st_size:
            break
        last = len(found) == MOST_EXTENTS - 1
        offset = status.st_size if last else min(os.lseek(descriptor, begin, os.SEEK_HOLE), status.st_size)
        found.append((begin, offset - begin))
    if not found or sum(found[-1]) < status.st_size:
        found.append((status.st_size, 0))  # GNU tar asks the last one for the size
    return found
