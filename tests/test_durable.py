"""Files that are replaced: whole, for ever, and with nothing left beside them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from vibespace import durable
from vibespace.errors import Error, Exhausted, Unavailable


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_replaced(tmp_path: Path, mode: int) -> None:
    """What was there, or was not, is now what was given, with the mode that was asked for and no draft beside it."""
    path = tmp_path / "file"
    for data in (b"one", b"2"):
        durable.replace(path, data, mode)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (data, mode)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_crash_left_is_used_again(tmp_path: Path) -> None:
    """A longer draft of before leaves none of its bytes, nor its mode."""
    path = tmp_path / "file"
    durable.draft(path).write_bytes(b"longer than it")
    durable.draft(path).chmod(0o666)
    durable.replace(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_drafts_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written to where it leads; the file is as it was."""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"old")
    other.write_bytes(b"theirs")
    durable.draft(path).symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        durable.replace(path, b"new")
    assert (path.read_bytes(), other.read_bytes()) == (b"old", b"theirs")


def test_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced before the name leads to it, and the name before anybody is told."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    synced: list[tuple[bool, bytes]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_bytes()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    durable.replace(path, b"new")
    assert synced == [(False, b"old"), (True, b"new")]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays, and half a draft does not."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, Exhausted),
        (errno.EDQUOT, Exhausted),
        (errno.EFBIG, Exhausted),
        (errno.EACCES, Unavailable),
        (errno.EROFS, Unavailable),
        (errno.EIO, Unavailable),
    ],
)
def test_only_who_lacks_room_is_told_to_make_some(tmp_path: Path, number: int, kind: type[Error]) -> None:
    """What else hinders is said as it is, with where."""
    refused = durable.refusal(OSError(number, os.strerror(number)), tmp_path)
    assert type(refused) is kind
    assert refused.message == f"Nothing can be kept in {tmp_path}: {os.strerror(number)}."
