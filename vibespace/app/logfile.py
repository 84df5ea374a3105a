"""What a file must be before anything is written to it as a log, and how it is said that it cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vibespace.errors import Error, FailedPrecondition, Unavailable

_FORMAT = 1
"""PRAGMA user_version of the file; a higher one was written by a newer vibespace."""
_APPLICATION = 0x76696265
"""PRAGMA application_id, 'vibe': a file that has another is not ours to write to."""
_NOT_NOW = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
"""What SQLite says of the disk, not of the file."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say so when the file at `path` is no database, or one that is damaged."""
    try:
        yield
    except Error:
        raise
    except Exception as e:  # whatever is met in reading bytes that nobody can vouch for
        cause = e if isinstance(e, sqlite3.Error) else e.__cause__
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _NOT_NOW:
            hint = "See that the disk has room and the directory can be written to."
            raise Unavailable("LOG_UNAVAILABLE", f"{path} cannot be opened: {cause}.", hint=hint) from e
        raise unusable(path, str(e) or type(e).__name__) from e


_WAY_OUT = "Restore it from a backup, or move it and its -wal away to begin anew."


def unusable(path: Path, why: str, hint: str = _WAY_OUT) -> FailedPrecondition:
    """What is there is no log of ours, or not as we wrote it."""
    return FailedPrecondition("LOG_UNUSABLE", f"{path} is not a log that can be read: {why}.", hint=hint)


def claim(path: Path, head: Path) -> None:
    """Mark a new file as ours; refuse one that is somebody else's or newer, before anything is written to it.

    `head` is where the newest event is kept that is known to have been in it.
    """
    _refuse_remains(path, head)
    connection = sqlite3.connect(path)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if application == 0 and empty:
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={_FORMAT}")
        elif application != _APPLICATION:
            raise FailedPrecondition("LOG_UNUSABLE", f"{path} is not a log of vibespace.", hint="Move it away.")
        elif version > _FORMAT:
            raise FailedPrecondition(
                "LOG_UNUSABLE", f"{path} was written by a newer vibespace.", hint="Upgrade vibespace."
            )
    finally:
        connection.close()


def _refuse_remains(path: Path, head: Path) -> None:
    """Where a log was, SQLite would begin a new one, and throw away what lies beside it."""
    if path.exists() and path.stat().st_size:
        return
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise FailedPrecondition(
            "LOG_UNUSABLE",
            f"{wal} holds the last events of a log that is not beside it.",
            hint=f"Move {path.name} back, or move this away too.",
        )
    if path.exists() and head.exists():
        raise unusable(path, "it is empty, and was not")
