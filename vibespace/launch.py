"""Starts the daemon when it does not answer: exactly one, however many ask at once.

A client takes a lock, looks again, starts the daemon with one end of a pipe, and reads from the other: a line when it
serves, the end of the pipe when it does not. Nothing is polled and nobody guesses how long a start takes.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vibespace import errors
from vibespace.errors import PermissionDenied, Unavailable
from vibespace.state import State

LOCKED = 75
"""Exit code (EX_TEMPFAIL) of a daemon that found another one alive. It says so itself: who looked at the lock
afterwards would not see one that was ending.
"""


READY = "ready"
"""What a daemon tells who started it when it serves."""


def failure(error: errors.Error) -> str:
    """The line by which a daemon tells why it does not serve."""
    return json.dumps([type(error).__name__, error.reason, error.message, error.hint])


def _failed(line: str) -> errors.Error:
    kind, reason, message, hint = json.loads(line)
    error: errors.Error = getattr(errors, kind)(reason, message, hint=hint)
    return error


def ensure_daemon(state: State) -> bool:
    """Return when a daemon serves `state`; True when it had to be started.

    Raises PermissionDenied for a state directory that others can reach, Unavailable when the daemon does not start.
    """
    if answers(state.socket):
        return False
    ensure_home(state.home)
    with _one_at_a_time(state.home / "daemon.start.lock"):
        while not answers(state.socket):
            exit_code = _start(state)
            if exit_code is None:
                return True
            if exit_code != LOCKED:
                raise _not_started(state, exit_code)
            # Another daemon was starting or ending: it holds the lock for as long as it lives.
            if not answers(state.socket):
                wait_until_ended(state)
    return False


def answers(path: Path) -> bool:
    """Whether something listens on the socket at `path`, which must be ours."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except PermissionError as e:
            raise _not_ours(path.parent, "cannot be entered") from e
    ensure_home(path.parent)
    return True


def ensure_home(home: Path) -> None:
    """Make the state directory, for its owner alone; refuse one that somebody else owns or can reach.

    Who may open the daemon's socket may do everything, and this directory is what keeps others from it.
    """
    try:
        found = home.lstat() if not home.is_symlink() else home.stat()
    except FileNotFoundError:
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            home.mkdir(mode=0o700, exist_ok=True)
            found = home.stat()
        except OSError as e:
            raise _not_ours(home, f"cannot be made: {e.strerror}") from e
    except OSError as e:
        raise _not_ours(home, f"cannot be read: {e.strerror}") from e
    if not stat.S_ISDIR(found.st_mode):
        raise _not_ours(home, "is not a directory")
    if found.st_uid != os.geteuid():
        raise _not_ours(home, "belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        ours = not any(home.iterdir()) or (home / "events.db").exists()
        raise PermissionDenied(
            "HOME_NOT_PRIVATE",
            f"The state directory {home} can be reached by other users.",
            hint=f"Close it: chmod 700 {home}" if ours else "Set VIBESPACE_HOME to a directory of its own.",
        )


def wait_until_ended(state: State) -> None:
    """Return when no daemon serves `state` any more: it holds its lock for as long as it lives."""
    try:
        with state.lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return


def last_words(state: State) -> str:
    """The last line that the daemon wrote to its stderr; empty when there is none."""
    try:
        lines = _stderr(state).read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start(state: State) -> int | None:
    """Start a daemon: None when it serves, its exit code when it ended instead, without a reason.

    Raises the reason when it told one.
    """
    ready, tell = os.pipe()
    with open(ready, "rb") as pipe, _stderr(state).open("wb") as errors:
        try:
            process = subprocess.Popen(
                # -P: a directory that a command happens to be typed in must not lend the daemon its modules.
                [sys.executable, "-P", "-m", "vibespace.daemon", "--ready-fd", str(tell)],
                env={**os.environ, "VIBESPACE_HOME": os.fspath(state.home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(tell,),
                start_new_session=True,
            )
        finally:
            os.close(tell)
        told = pipe.readline().decode().strip()
        if told == READY:
            process.returncode = 0  # It outlives us: nobody is to wait for it.
            return None
    exit_code = process.wait()
    if told:
        raise _failed(told)
    return exit_code


def _not_started(state: State, exit_code: int) -> Unavailable:
    return Unavailable(
        "DAEMON_NOT_STARTED",
        f"The daemon did not start: {last_words(state) or f'it ended with exit code {exit_code}.'}",
        hint=f"With VIBESPACE_DEBUG=1 it tells more, in {state.debug_log}.",
    )


def _stderr(state: State) -> Path:
    return state.home / "daemon.stderr"


def _not_ours(home: Path, what: str) -> PermissionDenied:
    return PermissionDenied(
        "HOME_NOT_USABLE",
        f"The state directory {home} {what}.",
        hint="Set VIBESPACE_HOME to a directory of your own.",
    )
