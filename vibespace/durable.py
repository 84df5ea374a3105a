"""Files that must not be lost, and must never be half there."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from vibespace.errors import Error, Exhausted, Unavailable


def write_new(path: Path, data: bytes) -> None:
    """Write `path` whole or not at all, 0600, durably. One that came in between is left: the first one made stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Have `path` hold `data`, durably and with that mode, or what it held before. Raises OSError.

    By one caller at a time: the draft is one for all.
    """
    new = draft(path)
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


def draft(path: Path) -> Path:
    """Where `replace` writes first: always there, so that what a crash leaves is used again, and can be found."""
    return path.with_name(f".{path.name}.vibespace")


def make_directory(path: Path) -> None:
    """A directory of ours, 0700, that is still there after a crash."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """What was linked in `path` so far is on the disk."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def refusal(error: OSError, directory: Path) -> Error:
    """What to raise where a file in `directory` was not written: Exhausted DISK_FULL, Unavailable HOME_NOT_USABLE."""
    sentence = f"Nothing can be kept in {directory}: {error.strerror}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Exhausted("DISK_FULL", sentence, hint="Make room.")
    return Unavailable(
        "HOME_NOT_USABLE", sentence, hint="See that the daemon can write there, and that its disk is sound."
    )
