"""The daemon of a state directory, ended from outside, whatever state it is in; and none started meanwhile."""

from __future__ import annotations

import fcntl
import os
import select
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vibespace.errors import Unavailable
from vibespace.setup import processes
from vibespace.state import AT_REST, State, open_own

STOP_SECONDS = 5.0
"""What a daemon gets to end by itself before it is killed."""


@contextmanager
def alone(state: State) -> Iterator[None]:
    """A context without a daemon: the one that runs is ended, and another waits until the context is left.

    Raises Unavailable DAEMON_NOT_ENDED when what holds its lock is no daemon that we know.
    """
    end(state)  # before the other lock: who starts a daemon that hangs holds that one
    with _open(state.start_lock) as starting, _open(state.lock) as serving:
        fcntl.flock(starting, fcntl.LOCK_EX)
        end(state)
        fcntl.flock(serving, fcntl.LOCK_EX)
        yield


def end(state: State) -> None:
    """End the daemon that holds the lock, by its own means or by force; without one, nothing happens."""
    with _open(state.lock) as lock:
        if _free(lock):
            return
        told = os.pread(lock, 32, 0).decode(errors="replace").partition(AT_REST)[0].strip()
        descriptor = _daemon(told)
        if descriptor is None:
            if _free(lock):
                return  # it has just ended by itself
            raise Unavailable(
                "DAEMON_NOT_ENDED",
                f"Something holds {state.lock}, but no daemon runs with process id {told or 'unknown'}.",
                hint=f"See who it is: fuser {shlex.quote(str(state.lock))}; then try again.",
            )
        try:
            _end(descriptor)
        finally:
            os.close(descriptor)


def _end(descriptor: int) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        if ended.poll(STOP_SECONDS * 1000):
            return


def _daemon(pid: str) -> int | None:
    """A handle of the process, if it is a daemon: the number alone may have been given to another one since."""
    try:
        descriptor = os.pidfd_open(int(pid))
    except (ValueError, OSError):
        return None
    if processes.DAEMON in processes.words(pid):
        return descriptor
    os.close(descriptor)
    return None


def _free(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


@contextmanager
def _open(path: Path) -> Iterator[int]:
    descriptor = open_own(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
