"""The command line and the real daemon, on the engine in memory: every command, as scripts type it.

About ten seconds, for processes that start as they do for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import ROOT, on_terminal, start
from vibespace import launch
from vibespace.errors import Unavailable
from vibespace.state import State

Line = Callable[..., Any]


@pytest.fixture
def line(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """Runs a command line that must succeed; its data. The daemon that it started is ended after the test."""
    monkeypatch.setenv("VIBESPACE_ENGINE", "fake")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments: str, code: int = 0) -> Any:
        process = start(*arguments)
        out, err = process.communicate()
        assert process.returncode == code, err.decode()
        told = json.loads(out)
        return told["data"] if code == 0 else told["error"]["reason"]

    yield run
    state = State(home)
    if launch.answers(state.socket):
        os.kill(int(state.lock.read_text()), signal.SIGTERM)
    launch.wait_until_ended(state)


def test_before_init_the_way_to_it_is_said(line: Line) -> None:
    """Commands other than those that help to get there exit 16."""
    assert line("list", code=16) == "NOT_INITIALIZED"
    assert line("version")["daemon"]["api"] == "vibespace.v1"
    assert line("status")["host"]["initialized"] is False
    assert line("config", "file")["exists"] is False


def test_steps_are_for_who_watches(line: Line) -> None:
    """In a pipe init answers, and says nothing beside; on a terminal each step is a line."""
    process = start("init")
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    code, shown = on_terminal("init")
    assert (code, [said.split(":")[0] for said in shown.splitlines()][:2]) == (0, ["State directory", "Daemon"])
    assert "State directory" not in on_terminal("init", "-q")[1]


def test_a_second_init_changes_nothing(line: Line) -> None:
    """The log is as long as before."""
    line("init")
    before = line("status")["cursor"]
    line("init")
    assert line("status")["cursor"]["log_id"] == before["log_id"]


def test_a_life(line: Line) -> None:
    """Created, listed, joined by an agent, stopped, started, deleted: each command says when it is so."""
    line("init")
    made = line("create", "demo", "-t", "claude-code")["vibespace"]
    assert (made["vibespace_id"], made["status"]["state"]) == ("demo", "running")
    assert line("agent", "create", "-n", "helper")["agent"]["status"]["state"] == "running"
    assert [a["agent_id"] for a in line("agent", "list")["agents"]] == ["claude-1", "helper"]
    assert line("agent", "stop", "helper@demo")["agent"]["status"]["state"] == "stopped"
    assert line("stop", "demo")["vibespace"]["status"]["state"] == "stopped"
    assert line("start", "demo")["vibespace"]["status"]["state"] == "running"
    states = {a["agent_id"]: a["status"]["state"] for a in line("info")["agents"]}
    assert states == {"claude-1": "running", "helper": "stopped"}
    line("agent", "delete", "helper@demo", "--force")
    line("delete", "demo", "-f")
    assert line("list")["vibespaces"] == []
    assert line("info", "demo", code=10) == "VIBESPACE_NOT_FOUND"


def test_everything_rests_and_comes_back(line: Line, home: Path) -> None:
    """Bare `stop` returns when the daemon has ended; bare `start` when what ran runs again."""
    line("init")
    line("create", "one", "-t", "codex")
    line("create", "two", "-t", "codex")
    line("stop", "two")
    line("stop")
    assert not launch.answers(State(home).socket)
    line("start")
    states = {v["vibespace_id"]: v["status"]["state"] for v in line("list")["vibespaces"]}
    assert states == {"one": "running", "two": "stopped"}


@pytest.mark.parametrize("watcher", [("events", "--follow"), ("list", "--watch")], ids=" ".join)
def test_who_watches_does_not_undo_a_stop(line: Line, home: Path, watcher: tuple[str, ...]) -> None:
    """A stop that was asked for ends whatever watches, with a sentence, and the daemon stays away."""
    line("init")
    line("create", "demo", "-t", "codex")
    watching = start(*watcher)
    assert watching.stdout
    watching.stdout.readline()
    line("stop")
    out, _ = watching.communicate()
    told = json.loads(out.splitlines()[-1])["error"]["reason"]
    assert (watching.returncode, told) == (16, "AT_REST")
    assert not launch.answers(State(home).socket)


def test_a_killed_daemon_is_no_news(line: Line, home: Path) -> None:
    """kill -9, and the next command has the same answer."""
    line("init")
    line("create", "demo", "-t", "codex")
    os.kill(int(State(home).lock.read_text()), signal.SIGKILL)
    launch.wait_until_ended(State(home))
    assert [v["vibespace_id"] for v in line("list")["vibespaces"]] == ["demo"]


def test_a_daemon_that_is_just_ending_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that still held the lock when the new one asked, and no longer when the client looks, is no failure."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    state = State(home)
    launch.ensure_home(home)
    ending = state.lock.open("w")
    fcntl.flock(ending, fcntl.LOCK_EX)
    start_daemon, codes = launch._start, []

    def start_and_let_go(state: State, until: float) -> int | None:
        codes.append(start_daemon(state, until))
        ending.close()
        return codes[-1]

    monkeypatch.setattr(launch, "_start", start_and_let_go)
    assert launch.ensure_daemon(state)
    assert codes == [launch.LOCKED, None]
    os.kill(int(state.lock.read_text()), signal.SIGTERM)
    launch.wait_until_ended(state)


@pytest.mark.parametrize("kills", [1, 2])
def test_one_that_is_killed_while_it_starts_is_started_once_more(
    line: Line, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """Killed again, it is not: the client says what it saw."""
    left, python = tmp_path / "kills", tmp_path / "python"
    left.write_text("x" * kills)
    python.write_text(
        f'#!/bin/sh\n[ -s "{left}" ] || exec "{sys.executable}" "$@"\ntruncate -s -1 "{left}"; kill -9 $$\n'
    )
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    if kills == 1:
        assert launch.ensure_daemon(State(home))
    else:
        with pytest.raises(Unavailable, match="exit code -9"):
            launch.ensure_daemon(State(home))
    assert not left.read_text()


def test_a_client_that_gave_up_does_not_end_the_daemon_it_started(home: Path, line: Line) -> None:
    """Ctrl-C while the daemon starts closes the pipe that it says `ready` into; it serves all the same."""
    ready, tell = os.pipe()
    os.close(ready)
    command = [sys.executable, "-P", "-m", "vibespace.daemon", "--ready-fd", str(tell)]
    with subprocess.Popen(command, pass_fds=(tell,)) as daemon:
        os.close(tell)
        try:
            while not launch.answers(State(home).socket):
                assert daemon.poll() is None
            assert line("status")["daemon"]["pid"] == daemon.pid
        finally:
            daemon.terminate()
    assert daemon.returncode == 0


def test_where_only_the_data_is_left(line: Line, home: Path) -> None:
    """After `uninstall --keep-data` all but what leads back says so and starts nothing; `init` brings back what ran."""
    line("init")
    line("create", "one", "-t", "codex")
    line("create", "two", "-t", "codex")
    line("stop", "two")
    line("uninstall", "--force", "--keep-data")
    left = sorted(home.iterdir())
    for words in ("list", "status", "events", "stop", "start one", "image list", "ssh-config --json", "audit verify"):
        assert line(*words.split(), code=16) == "UNINSTALLED", words
    out, _ = start("doctor").communicate()
    assert b"was uninstalled here" in out
    assert line("version")["daemon"] is None
    assert line("config", "path", "--json")["path"] == str(home / "config.yaml")
    code, shown = on_terminal()
    assert (code, "is kept" in shown, "vibespace init" in shown) == (0, True, True)
    rehearsed = on_terminal("uninstall", "--keep-data", "--dry-run")[1]
    assert rehearsed.startswith(f"Nothing would go.\nKept, and found by 'vibespace init':\n  {home}/")
    assert "This would go; nothing did:\n  engine" in on_terminal("uninstall", "--dry-run")[1]
    assert sorted(home.iterdir()) == left
    assert "comes back" in on_terminal("init")[1]
    line("start", "one")
    states = {v["vibespace_id"]: v["status"]["state"] for v in line("list")["vibespaces"]}
    assert states == {"one": "running", "two": "stopped"}
    line("uninstall", "--force", "--keep-data")
    line("uninstall", "--force")
    assert not home.exists()
    home.mkdir(0o700)  # the fixture takes it away
