"""The shell offers what there is, and starts nothing for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from tests.cli.process import LINE, environment
from vibespace.v1 import agents_pb2, vibespaces_pb2


def offered(line: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    words = line.split(" ")
    asked = {"_VIBESPACE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(LINE, env={**environment(), **asked}, capture_output=True, text=True)
    assert done.stderr == ""
    return sorted(row.partition(",")[2] for row in done.stdout.split("\n") if row)


@pytest.fixture
def _two(daemon: Daemon) -> None:
    daemon.answers["VibespaceService/ListVibespaces"] = lambda _: vibespaces_pb2.ListVibespacesResponse(
        vibespaces=[made("demo"), made("other")]
    )
    daemon.answers["AgentService/ListAgents"] = lambda _: agents_pb2.ListAgentsResponse(
        agents=[agent("claude-1", "demo"), agent("codex-1", "other")]
    )


def test_commands_and_choices_are_offered(home: Path) -> None:
    """Those of the descriptors and those by hand alike."""
    assert offered("vibespace e") == ["events", "exec"]
    assert offered("vibespace create x -t ") == ["claude-code", "codex"]
    assert "--cpu-limit" in offered("vibespace create x --cpu")


@pytest.mark.usefixtures("_two")
def test_live_names_are_offered() -> None:
    """Vibespaces and agents that exist now."""
    assert offered("vibespace info d") == ["demo"]
    assert offered("vibespace agent stop c") == ["claude-1@demo", "codex-1@other"]
    assert offered("vibespace events --vibespace o") == ["other"]
    assert offered("vibespace exec ") == ["claude-1@demo", "codex-1@other"]
    assert offered("vibespace exec claude-1@") == ["claude-1@demo"]


def test_without_a_daemon_nothing_is_offered_and_none_started(home: Path) -> None:
    """A key press is no reason to start anything."""
    assert offered("vibespace info ") == []
    assert os.listdir(home) == []


def test_bash_is_told_that_an_address_is_one_word(home: Path) -> None:
    """Its habit of cutting words at @ is taken from it, and nothing else."""
    script = """COMP_WORDBREAKS="a@:b"; source <("$@" completion bash); printf %s "$COMP_WORDBREAKS" """
    done = subprocess.run(["bash", "-c", script, "bash", *LINE], env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("a:b", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(vibespace: Run, shell: str) -> None:
    """Not JSON, though it is piped."""
    done = vibespace("completion", shell)
    assert done.code == 0
    assert "_VIBESPACE_COMPLETE" in done.out
