"""`vibespace` alone: on a terminal where things stand and what to type next, in a pipe the help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon
from tests.cli.daemon import vibespace as made
from tests.cli.process import on_terminal
from vibespace.v1.system_pb2 import GetStatusResponse, Host
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_STOPPED, ListVibespacesResponse

READY: dict[str, Any] = {"initialized": True, "engine_reachable": True}
RUNNING = made("demo")
RUNNING.status.agents_running = 1
STOPPED = made("rested", VIBESPACE_STATE_STOPPED)


@pytest.mark.parametrize(
    ("host", "found", "said"),
    [
        ({}, [], ["This machine is not set up yet.", "vibespace init "]),
        (READY, [], ["Ready, and nothing is here yet.", "vibespace create NAME"]),
        (READY, [STOPPED, RUNNING], ["rested", "1 of 2 agents running.", "vibespace exec --vibespace demo --"]),
        (READY, [STOPPED], ["0 of 1 agent running.", "vibespace start rested "]),
        ({**READY, "resting": True}, [STOPPED], ["Everything is at rest.", "vibespace start "]),
        (
            {"initialized": True, "engine_reason": "it hung up."},
            [RUNNING],
            ["The engine does not answer: it hung up.\n", "vibespace doctor "],
        ),
        (
            {"initialized": True, "engine_reason": "it hung up.", "engine_unreachable_time": Timestamp(seconds=86400)},
            [RUNNING],
            ["The engine has not answered since 1970-01-0", ": it hung up.\n", "vibespace doctor "],
        ),
    ],
)
def test_where_things_stand(daemon: Daemon, host: dict[str, Any], found: list[Any], said: list[str]) -> None:
    """Each state is said in a sentence, with the command that leads on; what there is stands above."""
    daemon.answers["SystemService/GetStatus"] = lambda _: GetStatusResponse(host=Host(**host))
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: ListVibespacesResponse(vibespaces=found)
    code, shown = on_terminal("--no-color")
    assert code == 0
    places = [shown.index(words) for words in said]
    assert places == sorted(places)
    assert "MEMORY" not in shown


def test_a_state_directory_that_cannot_be_one_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by `init`, and not that nothing is set up yet."""
    (home / "file").touch()
    monkeypatch.setenv("VIBESPACE_HOME", str(home / "file"))
    code, seen = on_terminal("--no-color")
    assert (code, "is not a directory" in " ".join(seen.split())) == (12, True)


def test_a_repository_is_named_where_there_is_one(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told to be typed is not refused: `--repo .` wants to be in one, however deep."""
    daemon.answers["SystemService/GetStatus"] = lambda _: GetStatusResponse(host=Host(**READY))
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: ListVibespacesResponse()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert "--repo" not in on_terminal()[1]
    (tmp_path / ".git").touch()
    assert "claude-code --repo ." in on_terminal()[1]


def test_nothing_is_made_by_asking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a state directory there is no daemon to ask, and none is started."""
    monkeypatch.setenv("VIBESPACE_HOME", str(home / "not-there"))
    code, shown = on_terminal()
    assert (code, "vibespace init" in shown) == (0, True)
    assert list(home.iterdir()) == []


def test_in_a_pipe_it_is_the_help(vibespace: Run, daemon: Daemon) -> None:
    """Scripts ask by name."""
    done = vibespace()
    assert (done.code, done.out.splitlines()[0]) == (0, "Usage: vibespace [OPTIONS] COMMAND [ARGS]...")
    assert daemon.requests == []
