"""What is where a file of ours belongs: it is told, or replaced, and never followed or waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client.calling import status
from vibespace.daemon import lock
from vibespace.errors import PermissionDenied, Unavailable
from vibespace.setup import installation, uninstall
from vibespace.state import State


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.symlink_to("elsewhere")


IN_THE_WAY = [_fifo, _link, Path.mkdir]
FILES = ["daemon.lock", "daemon.start.lock", "daemon.stderr"]


@pytest.mark.parametrize("make", IN_THE_WAY, ids=["a pipe", "a link", "a directory"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_in_a_files_place_is_told(state: State, name: str, make: Callable[[Path], None]) -> None:
    """Nobody waits for a pipe, writes where a link leads, or fails without a sentence; and it is left as it is."""
    make(state.home / name)
    with pytest.raises(PermissionDenied, match=name) as refused:
        status(state)
    assert refused.value.reason == "FILE_NOT_OURS"
    assert not (state.home / "elsewhere").exists()
    (state.home / name).rename(state.home / "away")  # what the hint says
    assert status(state).daemon.home == str(state.home)


def test_a_lock_of_somebody_else_is_told(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it could hold it for ever."""
    state.lock.touch()
    mine = os.geteuid()
    with monkeypatch.context() as somebody:
        somebody.setattr(os, "geteuid", lambda: mine + 1)
        with pytest.raises(PermissionDenied, match=r"daemon\.lock is not a file of ours"):
            lock.hold(state.lock)


@pytest.mark.parametrize("make", [_fifo, _link], ids=["a pipe", "a link"])
def test_what_is_in_the_sockets_place_is_replaced(state: State, make: Callable[[Path], None]) -> None:
    """Nobody listens there, and the path is the daemon's; a link is not followed."""
    make(state.socket)
    assert status(state).daemon.home == str(state.home)
    assert not state.socket.is_symlink()


@pytest.mark.parametrize("make", [_fifo, _link], ids=["a pipe", "a link"])
def test_what_is_in_the_markers_place_is_replaced(state: State, make: Callable[[Path], None]) -> None:
    """Neither who starts the daemon nor the daemon waits for a pipe; what it leaves there is a marker."""
    make(state.marker)
    assert status(state).daemon.home == str(state.home)
    assert installation.read(state) is not None
    assert not (state.home / "elsewhere").exists()


@pytest.mark.parametrize("text", ["[" * 3000, '{"log_id": 1, "leaving": "false"}', "x" * (1 << 20), "[]", "\\xff"])
def test_a_marker_of_other_content_is_replaced(state: State, text: str) -> None:
    """Whatever it holds, it is no marker, and nothing fails over it."""
    state.marker.write_text(text)
    assert installation.read(state) is None
    assert status(state).daemon.home == str(state.home)
    assert installation.read(state) is not None


def test_a_directory_in_the_markers_place_is_told(state: State) -> None:
    """It cannot be replaced: each command says so, `uninstall` too, and what to do."""
    state.marker.mkdir()
    for ask in (lambda: status(state), lambda: uninstall.plan(state, keep_data=False)):
        with pytest.raises(PermissionDenied, match=r"installation\.json cannot be read: Is a directory") as refused:
            ask()
        assert "move it away" in refused.value.hint


def test_another_users_directory_is_told(state: State) -> None:
    """Nothing in it is to be moved away: it is his."""
    state.marker.mkdir()
    os.chown(state.home, 12345, 12345)
    with pytest.raises(PermissionDenied, match="belongs to another user") as refused:
        status(state)
    assert refused.value.reason == "HOME_NOT_USABLE"
    assert "VIBESPACE_HOME" in refused.value.hint


def test_a_directory_in_the_sockets_place_is_told(state: State) -> None:
    """It may hold something: the daemon takes nothing away that it cannot make again."""
    state.socket.mkdir()
    with pytest.raises(Unavailable, match=r"daemon\.sock") as refused:
        status(state)
    assert refused.value.reason == "SOCKET_UNUSABLE"
