"""An archive into a file or a folder, whoever made the archive.

Everything is made in a draft, a folder of ours next to the place it is for, and only what is whole is moved there.
In the draft things are made by name in a folder that we made ourselves and hold open, so nothing in an archive can lead
anywhere else; and only files, folders and links are made, with no more than their permissions.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from vibespace.archive import tar
from vibespace.archive.draft import OPEN, draft
from vibespace.archive.failures import Failure, broken, of, shown
from vibespace.archive.place import move
from vibespace.archive.tar import FILE, FOLDER, LINK, Counted, Entry, Source, Told

_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

DEEPEST = 400
"""Folders in folders: each is held open."""


def _ignored(_: object) -> None:
    """Nobody wants to hear of it."""


def unpack(
    pieces: Iterable[bytes],
    destination: bytes,
    name: bytes,
    where: str,
    counted: Counted = _ignored,
    left_out: Told = _ignored,
) -> None:
    """Put what the archive holds at `destination`; in it, when that is a folder or ends in `/`.

    There it gets `name`, or without one the archive's own. What is there already is replaced, file by file; folders
    are joined. Raises Failure, and then nothing is there that was not before.
    """
    place = _place(destination, name, where) if name else None
    source = Source(pieces)
    entries = tar.entries(source)
    first = next(entries, None)
    if first is None:
        raise broken("there is nothing in it")
    parent, final = place or _place(destination, first.path, where)
    at = [os.path.join(parent, final)]
    try:
        with draft(parent) as (folder, own):
            tree = _Tree(own, source, at, counted, left_out)
            try:
                tree.make(first)
                for entry in entries:
                    tree.make(entry)
                tree.close()
            finally:
                tree.drop()
            at[0] = os.path.join(parent, final)
            move(own, first.path, folder, final, at[0])
    except OSError as e:
        raise of(e, at[0], where) from e


def _place(destination: bytes, name: bytes, where: str) -> tuple[bytes, bytes]:
    """The folder that it goes to, and its name there."""
    into = os.path.isdir(destination or b".")
    if destination.endswith(b"/") and not into:
        raise Failure(
            "NotFound", "FILE_NOT_FOUND", f"There is no folder {shown(destination)} {where}.", "Make it first."
        )
    parent, final = (destination or b".", name) if into else os.path.split(destination)
    if not _is_name(final):
        raise Failure("InvalidArgument", "NAME_NEEDED", "Say what the copy is to be called.", "DESTINATION/NAME does.")
    parent = parent or b"."
    if not os.path.isdir(parent):
        raise Failure("NotFound", "FILE_NOT_FOUND", f"There is no folder {shown(parent)} {where}.", "Make it first.")
    return parent, final


class _Tree:
    """What an archive holds, made in one folder. The folders from there to the entry made last are open."""

    def __init__(self, root: int, source: Source, at: list[bytes], counted: Counted, left_out: Told) -> None:
        self._root = root
        self._source = source
        self._at = at
        """Its first is what is being made, for who says what went wrong."""
        self._top = at[0]
        self._counted = counted
        self._left_out = left_out
        self._open: list[tuple[int, Entry]] = []
        self._begun = False

    def make(self, entry: Entry) -> None:
        """Make it. Its folder must have come before, and nothing that lies elsewhere since."""
        above, _, name = entry.path.rpartition(b"/")
        while self._open and self._open[-1][1].path != above:
            self._leave()
        if not _is_name(name) or bool(self._open) == (not above) or (self._begun and not self._open):
            raise broken(f"{shown(entry.path)} has no place in it")
        self._begun = True
        self._at[0] = self._top + entry.path[len(entry.path.partition(b"/")[0]) :]
        folder = self._open[-1][0] if self._open else self._root
        if entry.kind == FILE:
            self._file(folder, name, entry)
        elif entry.kind == FOLDER:
            if len(self._open) == DEEPEST:
                raise broken(f"its folders lie deeper than {DEEPEST}")
            os.mkdir(name, 0o700, dir_fd=folder)
            self._open.append((os.open(name, OPEN, dir_fd=folder), entry))
        elif entry.kind == LINK:
            os.symlink(entry.target, name, dir_fd=folder)
            os.utime(name, ns=(entry.mtime_ns,) * 2, dir_fd=folder, follow_symlinks=False)
        else:
            self._left_out(entry.path)

    def close(self) -> None:
        """All has been made: what folders are like is told only now, for some could not be written to any more."""
        while self._open:
            self._leave()

    def drop(self) -> None:
        """Let go of all folders."""
        for descriptor, _ in self._open:
            os.close(descriptor)
        self._open.clear()

    def _leave(self) -> None:
        descriptor, entry = self._open.pop()
        with _closing(descriptor):
            _describe(descriptor, entry)

    def _file(self, folder: int, name: bytes, entry: Entry) -> None:
        descriptor = os.open(name, _MAKE, 0o600, dir_fd=folder)
        with _closing(descriptor):
            position = 0
            os.ftruncate(descriptor, entry.size)
            for offset, length in entry.extents:
                if offset < position or offset + length > entry.size:
                    raise broken("a map cannot be")
                os.lseek(descriptor, offset, os.SEEK_SET)
                for piece in self._source.content(length):
                    _write(descriptor, piece)
                    self._counted(len(piece))
                position = offset + length
            _describe(descriptor, entry)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def _describe(descriptor: int, entry: Entry) -> None:
    os.fchmod(descriptor, entry.mode & 0o777)
    os.utime(descriptor, ns=(entry.mtime_ns,) * 2)


def _is_name(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
