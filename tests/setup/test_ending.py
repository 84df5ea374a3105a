"""Daemons are ended, also those that do not want to be, and no other process is touched. Starts real ones."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vibespace import launch
from vibespace.errors import FailedPrecondition, PermissionDenied, Unavailable
from vibespace.setup import ending, installation
from vibespace.setup.ending import alone
from vibespace.setup.installation import Installation
from vibespace.state import State

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("VIBESPACE_ENGINE", "fake")
    made = State(tmp_path / "h")
    launch.ensure_home(made.home)
    yield made
    ending.end(made)


def test_a_daemon_ends(state: State) -> None:
    """One that runs is asked to end, and has ended when the context is entered; without one nothing happens."""
    launch.ensure_daemon(state)
    with alone(state):
        assert not launch.answers(state.socket)
    with alone(state):
        assert not launch.answers(state.socket)


def test_a_daemon_that_hangs_is_killed(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no longer hears is ended by force."""
    monkeypatch.setattr(ending, "STOP_SECONDS", 0.05)
    launch.ensure_daemon(state)
    os.kill(int(state.lock.read_text()), signal.SIGSTOP)
    with alone(state):
        assert not launch.answers(state.socket)


def test_somebody_elses_process_is_not_ended(state: State) -> None:
    """A lock that names a process which is no daemon is told of, and that process goes on."""
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(state.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as stranger:
        assert stranger.stdin is not None
        assert stranger.stdout is not None
        stranger.stdout.readline()
        state.lock.write_text(f"{stranger.pid}\n")
        with pytest.raises(Unavailable, match=f"no daemon runs with process id {stranger.pid}"), alone(state):
            pytest.fail("entered")
        assert stranger.poll() is None
        stranger.stdin.close()


def test_a_lock_that_is_no_file(state: State) -> None:
    """What lies in its place and is no file of ours is told of, and not waited for."""
    os.mkfifo(state.lock)
    with pytest.raises(PermissionDenied, match="is not a file of ours"):
        ending.end(state)
    state.lock.unlink()


def test_none_is_started_meanwhile(state: State) -> None:
    """Who wants a daemon in the meantime waits; when the directory has gone, that is what they are told."""
    told: list[str] = []

    def want() -> None:
        try:
            launch.ensure_daemon(state)
        except Unavailable as e:
            told.append(e.reason)

    waiting = threading.Thread(target=want)
    with alone(state):
        waiting.start()
        while _opened(state.start_lock) < 2:  # ours, and who waits for it
            waiting.join(0.01)
            assert waiting.is_alive()
        state.start_lock.unlink()
    waiting.join()
    assert told == ["UNINSTALLED"]


def test_none_starts_on_what_is_half_gone(state: State) -> None:
    """A daemon says how an uninstall that was cut off is finished, and makes nothing new of the rest."""
    installation.write(state, Installation("log", leaving=True))
    with pytest.raises(FailedPrecondition) as refused:
        launch.ensure_daemon(state)
    assert refused.value.reason == "UNINSTALL_UNFINISHED"
    assert not state.log.exists()
    installation.write(state, Installation("log"))
    assert launch.ensure_daemon(state)


def test_locks_are_let_go(state: State) -> None:
    """After the context a daemon may start again."""
    with alone(state):
        pass
    with state.lock.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert launch.ensure_daemon(state)


def _opened(path: Path) -> int:
    """How many descriptors of this process lead to `path`."""
    return sum(os.path.realpath(each) == os.path.realpath(path) for each in Path("/proc/self/fd").iterdir())
