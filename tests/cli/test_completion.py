"""The shell offers what there is, and starts nothing for it."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.daemon import Daemon, agent
from tests.cli.daemon import vibespace as made
from tests.cli.process import LINE, environment
from vibespace.domain import kinds
from vibespace.v1 import agents_pb2, vibespaces_pb2


def offered(line: str) -> list[str]:
    """What bash would offer at the end of `line`."""
    return sorted(row.partition(",")[2] for row in told(line) if row)


def told(line: str) -> list[str]:
    """What bash is told of the end of `line`."""
    words = line.split(" ")
    asked = {"_VIBESPACE_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(LINE, env={**environment(), **asked}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


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


@pytest.mark.usefixtures("_two")
def test_files_are_the_shells_affair() -> None:
    """Where a path is wanted, the shell is told so; of what is copied, one side is an agent's."""
    paths = ["create x --repo ", "create x -m ", "init --base ", "image build --base "]
    assert [told(f"vibespace {line}/et") for line in paths] == [["file,/et"]] * len(paths)
    assert told("vibespace cp ") == ["file,", "plain,claude-1@demo:", "plain,codex-1@other:"]
    assert told("vibespace cp README c") == ["file,c", "plain,claude-1@demo:", "plain,codex-1@other:"]
    assert offered("vibespace create x --branch ") == []


def test_types_of_events_are_offered(home: Path) -> None:
    """All there are, and no others."""
    assert offered("vibespace events --type host.r") == ["host.rested"]
    there_are = [type for kind in kinds.KINDS.values() for type in kinds.event_types(kind)]
    assert sorted(there_are) == offered("vibespace events --type ")


def test_without_a_daemon_nothing_is_offered_and_none_started(home: Path) -> None:
    """A key press is no reason to start anything."""
    assert offered("vibespace info ") == []
    assert os.listdir(home) == []


def test_bash_is_told_that_an_address_is_one_word(home: Path) -> None:
    """Its habit of cutting words at @ is taken from it, and nothing else."""
    script = """COMP_WORDBREAKS="a@:b"; source <("$@" completion bash); printf %s "$COMP_WORDBREAKS" """
    done = subprocess.run(["bash", "-c", script, "bash", *LINE], env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("a:b", "")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a file and a folder, and a `vibespace` to be found by name."""
    (tmp_path / "README.md").touch()
    (tmp_path / "project").mkdir()
    program = tmp_path / "vibespace"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(LINE)} "$@"\n')
    program.chmod(0o755)
    return tmp_path


def at(place: Path) -> dict[str, str]:
    return {**environment(), "HOME": str(place), "PATH": f"{place}:{os.environ['PATH']}"}


SHELLS = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(vibespace completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -D -u; eval "$(vibespace completion zsh)"'),
}


@pytest.mark.usefixtures("_two")
@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_begun_is_completed(place: Path, shell: str) -> None:
    """On a terminal, when Tab is pressed: a file of this machine where one is wanted, or whom it is copied to."""
    words, script = SHELLS[shell]
    mine, its = pty.openpty()
    with subprocess.Popen(
        words,
        env={**at(place), "TERM": "dumb", "PS1": "ready> "},
        cwd=place,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)
        read(mine, "ready> ")
        os.write(mine, f"{script}; echo set-$((40+2))\n".encode())
        read(mine, "set-42")
        for typed, seen in (
            ("vibespace cp REA\t", "cp README.md "),
            ("claude-1@d\t", "claude-1@demo:"),
            ("\x15vibespace create x --repo ./pro\t", "--repo ./project/"),
            ("\x15vibespace init --base REA\t", "--base README.md"),
            ("\x15vibespace events --type host.rest\t", "--type host.rested"),
        ):
            os.write(mine, typed.encode())
            read(mine, seen)
        process.kill()
        os.close(mine)


@pytest.mark.usefixtures("_two")
def test_fish_completes_what_is_begun(place: Path) -> None:
    """As the others do."""
    line = 'vibespace completion fish | source; complete -C "vibespace cp REA"; complete -C "vibespace cp REA cl"'
    done = subprocess.run(["fish", "--no-config", "-c", line], env=at(place), cwd=place, capture_output=True, text=True)
    assert done.stdout.split() == ["README.md", "claude-1@demo:"]


def read(terminal: int, wanted: str) -> None:
    """Return when the terminal has shown `wanted`."""
    shown = ""
    with suppress(OSError):
        while wanted not in shown:
            shown += os.read(terminal, 4096).decode(errors="replace")
    assert wanted in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(vibespace: Run, shell: str) -> None:
    """Not JSON, though it is piped."""
    done = vibespace("completion", shell)
    assert done.code == 0
    assert "_VIBESPACE_COMPLETE" in done.out
