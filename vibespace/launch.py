"""Starts the daemon when it does not answer: exactly one, however many ask at once.

A client takes a lock, looks again, starts the daemon with one end of a pipe, and reads from the other: a line when it
serves, the end of the pipe when it does not. Only one that tells neither for PATIENCE is given up.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from vibespace import errors
from vibespace.errors import FailedPrecondition, PermissionDenied, Unavailable
from vibespace.state import AT_REST, State, open_own, read_marker

PATIENCE = 120.0
"""Seconds that a client waits for a daemon to serve: it reads its whole history first, however long that is."""

FIRST_WORD = 5.0
"""Seconds in which a daemon must greet who connects: gRPC does that by itself, however busy the daemon is."""

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


def ensure_daemon(state: State, *, uninstalled_too: bool = False, resumed: bool = False) -> bool:
    """Return when a daemon serves `state`; True when it had to be started.

    Raises FailedPrecondition UNINSTALLED where only the data is left, unless `uninstalled_too`, AT_REST for what is
    only `resumed` where the last daemon has ended at rest, PermissionDenied for a state directory that others can
    reach, Unavailable when the daemon does not start.
    """
    if not uninstalled_too:
        refuse_uninstalled(state)
    if answers(state.socket):
        return False
    ensure_home(state.home)
    until = time.monotonic() + PATIENCE
    with _one_at_a_time(state.start_lock, until, uninstalled_too=uninstalled_too):
        was_killed = False
        while not answers(state.socket):
            if resumed:
                refuse_rested(state)
            exit_code = _start(state, until)
            if exit_code is None:
                return True
            if exit_code == -signal.SIGKILL and not was_killed:
                was_killed = True  # by somebody who meant the one before, or for memory: once is no reason to give up
                continue
            if exit_code != LOCKED:
                raise _not_started(state, exit_code)
            # Another daemon was starting or ending: it holds the lock for as long as it lives.
            if not answers(state.socket):
                wait_until_ended(state, until)
    return False


def uninstalled(state: State) -> bool:
    """Whether `uninstall --keep-data` was here, and no `init` since; setup/installation.py wrote that down."""
    told = read_marker(state)
    # One that has begun anew says so itself, and what finishes it.
    return told.get("uninstalled") is True and told.get("leaving") is not True


def refuse_uninstalled(state: State) -> None:
    """Raise FailedPrecondition UNINSTALLED where that is so."""
    if uninstalled(state):
        raise data_only(state.home)


def data_only(home: Path) -> FailedPrecondition:
    """What to raise where vibespace was uninstalled and its data kept."""
    text = f"vibespace was uninstalled here, and its data is kept in {home}."
    return FailedPrecondition("UNINSTALLED", text, hint="'vibespace init' brings it back.")


def refuse_rested(state: State) -> None:
    """Raise FailedPrecondition AT_REST where the last daemon ended for that reason, or is about to."""
    if state.lock.exists() and _told(state).endswith(AT_REST):
        raise errors.at_rest()


def answers(path: Path) -> bool:
    """Whether something listens on the socket at `path`, which must be ours."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            pass  # it listens, and so many wait to be let in that there is no room for another
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except PermissionError as e:
            raise _not_ours(path.parent, "cannot be entered") from e
    ensure_home(path.parent)
    return True


def hangs(path: Path) -> bool:
    """Whether what listens on the socket at `path` does not greet who connects. Waits FIRST_WORD for it, at most."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(FIRST_WORD)
        try:
            probe.connect(os.fspath(path))
            probe.recv(1)
        except (TimeoutError, BlockingIOError):  # the second: nobody has been let in for long
            return True
        except OSError:
            return False
        return False


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
    if not os.access(home, os.R_OK | os.X_OK):
        text = f"The state directory {home} cannot be entered."
        raise PermissionDenied("HOME_NOT_USABLE", text, hint=f"Open it for yourself: {_closing(home)}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        ours = not any(home.iterdir()) or (home / "events.db").exists()
        raise PermissionDenied(
            "HOME_NOT_PRIVATE",
            f"The state directory {home} can be reached by other users.",
            hint=f"Close it: {_closing(home)}" if ours else "Set VIBESPACE_HOME to a directory of its own.",
        )


def _closing(home: Path) -> str:
    """The command that makes it its owner's alone, as a shell takes it."""
    return f"chmod 700 {shlex.quote(str(home))}"


def wait_until_ended(state: State, until: float | None = None, *, pid: str = "") -> None:
    """Return when no daemon serves `state` any more: it holds its lock for as long as it lives.

    With `pid` only that one is waited for: the next may serve by then. With `until`, a time.monotonic(), raises
    Unavailable DAEMON_SILENT then.
    """
    if not state.lock.exists():
        return
    with open(open_own(state.lock, os.O_RDONLY), errors="replace") as lock:
        another = partial(_is_held_by_another, state, pid) if pid else None
        if not _take(lock.fileno(), fcntl.LOCK_SH, until, another):
            raise silent(_pid(lock.read(32)))


def holder(state: State) -> str:
    """The process id of the daemon that has the lock; empty where none has told it."""
    return _pid(_told(state))


def _told(state: State) -> str:
    with open(open_own(state.lock, os.O_RDONLY), errors="replace") as lock:
        return lock.read(32).removesuffix("\n")


def _pid(told: str) -> str:
    return told.partition(AT_REST)[0].strip()


def silent(pid: str = "") -> Unavailable:
    """What to raise when a daemon is there and does not answer; `pid` where it is known."""
    who = f" (process id {pid})" if pid else ""
    hint = f"Try again if it is at work, or end it: kill -9 {pid}" if pid else "Try again."
    return Unavailable("DAEMON_SILENT", f"The daemon{who} does not answer.", hint=hint)


def last_words(state: State) -> str:
    """The last line that the daemon wrote to its stderr; empty when there is none."""
    try:
        lines = _stderr(state).read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@contextmanager
def _one_at_a_time(path: Path, until: float, *, uninstalled_too: bool) -> Iterator[None]:
    state = State(path.parent)
    descriptor = _taken(path, until)
    try:
        if uninstalled_too and _is_gone(descriptor) and uninstalled(state):
            gone, descriptor = descriptor, _taken(path, until)
            os.close(gone)
        if _is_gone(descriptor):
            refuse_uninstalled(state)
            raise Unavailable(
                "UNINSTALLED", f"{state.home} was uninstalled meanwhile.", hint="'vibespace init' begins anew."
            )
        yield
    finally:
        os.close(descriptor)


def _taken(path: Path, until: float) -> int:
    """The lock at `path`, made where it is missing. Raises Unavailable DAEMON_SILENT."""
    descriptor = open_own(path, os.O_RDWR)
    try:
        if not _take(descriptor, fcntl.LOCK_EX, until):
            raise silent()
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_gone(descriptor: int) -> bool:
    """Whether `uninstall` has taken the file away while we waited for it."""
    return os.fstat(descriptor).st_nlink == 0


def _is_held_by_another(state: State, pid: str) -> bool:
    return state.lock.exists() and holder(state) != pid


def _take(lock: int, how: int, until: float | None, enough: Callable[[], bool] | None = None) -> bool:
    """Whether the lock could be taken by then, or need not be; the kernel lets nobody wait for one and look at the
    clock too.
    """
    if until is None and enough is None:
        fcntl.flock(lock, how)
        return True
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if enough is not None and enough():
                return True
            if until is not None and time.monotonic() > until:
                return False
            time.sleep(0.01)


def _start(state: State, until: float) -> int | None:
    """Start a daemon: None when it serves, its exit code when it ended instead, without a reason.

    Raises the reason when it told one, and Unavailable DAEMON_SILENT when it does neither: it may be about to.
    """
    ready, tell = os.pipe()
    with open(ready, "rb") as pipe, open(open_own(_stderr(state), os.O_WRONLY), "wb") as errors:
        errors.truncate(0)
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
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        heard = waiting.poll(max(0.0, until - time.monotonic()) * 1000)
        told = pipe.readline().decode().strip() if heard else ""
        if told == READY or not heard:
            process.returncode = 0  # It outlives us: nobody is to wait for it.
        if not heard:
            raise silent(str(process.pid))
        if told == READY:
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
