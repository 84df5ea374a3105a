"""One daemon a state directory: a lock that the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from vibespace.errors import FailedPrecondition
from vibespace.state import AT_REST, open_own


def hold(path: Path) -> int:
    """Take the lock and write our pid into it; keep the descriptor open for as long as the daemon lives.

    Raises FailedPrecondition DAEMON_RUNNING with the pid of the one that holds it, and what open_own does.
    """
    descriptor = open_own(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        pid = os.read(descriptor, 32).decode(errors="replace").partition(AT_REST)[0].strip()
        os.close(descriptor)
        raise FailedPrecondition(
            "DAEMON_RUNNING", f"A daemon runs here already, with process id {pid or 'unknown'}.", pid=pid
        ) from e
    ours = f"{os.getpid()}\n".encode()
    os.ftruncate(descriptor, os.pwrite(descriptor, ours, 0))  # in this order it needs no more room than the one before
    return descriptor


def note_rest(descriptor: int) -> None:
    """Write beside our pid that everything is at rest: what stays there until the next daemon takes the lock."""
    with suppress(OSError):  # a full disk; then those whose stream is cut off start a daemon that tells them
        os.pwrite(descriptor, f"{os.getpid()}{AT_REST}\n".encode(), 0)
