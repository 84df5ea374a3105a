"""What was made, moved to its place: what is there is replaced file by file, and folders are joined."""

from __future__ import annotations

import os
import stat

from vibespace.archive.draft import OPEN
from vibespace.archive.failures import Failure, shown


def move(source: int, name: bytes, target: int, final: bytes, path: bytes) -> None:
    """`name` in the folder `source` to `final` in the folder `target`, which is called `path` for people.

    Raises Failure before anything is moved when a file would take a folder's place, or a folder a file's, or one that
    is there may not be written to.
    """
    _check(source, name, target, final, path)
    _move(source, name, target, final)


def _check(source: int, name: bytes, target: int, final: bytes, path: bytes) -> None:
    there = _kind(target, final)
    if there is None:
        return
    folder = _kind(source, name) == stat.S_IFDIR
    if folder != (there == stat.S_IFDIR):
        what = f"{shown(path)} is there already and is {'no' if folder else 'a'} folder."
        raise Failure("AlreadyExists", "FILE_EXISTS", what, "Choose another name, or remove it first.")
    if folder:
        with _Both(source, name, target, final) as (ours, theirs):
            if not os.access(b".", os.W_OK | os.X_OK, dir_fd=theirs):
                what = f"The folder {shown(path)} may not be written to."
                raise Failure("PermissionDenied", "FILE_DENIED", what, "Nothing was changed.")
            for each in map(os.fsencode, os.listdir(ours)):
                _check(ours, each, theirs, each, os.path.join(path, each))


def _move(source: int, name: bytes, target: int, final: bytes) -> None:
    ours, there = _kind(source, name), _kind(target, final)
    if ours == stat.S_IFDIR == there:
        with _Both(source, name, target, final) as (inner, theirs):
            for each in map(os.fsencode, os.listdir(inner)):
                _move(inner, each, theirs, each)
        return
    before = os.stat(name, dir_fd=source, follow_symlinks=False)
    if ours == stat.S_IFDIR:
        os.chmod(name, stat.S_IRWXU, dir_fd=source)  # a folder that its owner may not write to cannot be moved
    os.rename(name, final, src_dir_fd=source, dst_dir_fd=target)
    if ours == stat.S_IFDIR:
        os.chmod(final, stat.S_IMODE(before.st_mode), dir_fd=target)


def _kind(folder: int, name: bytes) -> int | None:
    """What is called `name` there; a link is a link."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


class _Both:
    """A folder of ours and the one it is joined with, open."""

    def __init__(self, source: int, name: bytes, target: int, final: bytes) -> None:
        os.chmod(name, stat.S_IRWXU, dir_fd=source)  # what is in it is about to leave it
        self._ours = os.open(name, OPEN, dir_fd=source)
        try:
            self._theirs = os.open(final, OPEN, dir_fd=target)
        except OSError:
            os.close(self._ours)
            raise

    def __enter__(self) -> tuple[int, int]:
        return self._ours, self._theirs

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)
        os.close(self._theirs)
