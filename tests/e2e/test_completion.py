"""Completion in the real shells: their scripts are valid, and offer live names."""

from __future__ import annotations

import os
import pty
import subprocess
from contextlib import suppress

import pytest

from tests.e2e.installation import Installation

pytestmark = pytest.mark.containers

BASH = """
eval "$(vibespace completion bash)"
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )) COMP_TYPE=9
_vibespace_completion vibespace
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(vs: Installation, *words: str) -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        vs.place.command("bash", "--norc", "-c", BASH.format(words=line)),
        env=vs.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash(vs: Installation, demo: str) -> None:
    """bash offers commands, flags, vibespaces and agents."""
    assert bash(vs, "vibespace", "crea") == ["create"]
    assert bash(vs, "vibespace", "create", "--memory-l") == ["--memory-limit"]
    assert bash(vs, "vibespace", "info", "dem") == [demo]
    assert bash(vs, "vibespace", "exec", "claude-1@d") == [f"claude-1@{demo}"]


def test_fish(vs: Installation, demo: str) -> None:
    """So does fish."""
    for line, offered in (
        ("vibespace info dem", demo),
        ("vibespace exec cl", f"claude-1@{demo}"),
        ("vibespace crea", "create"),
    ):
        script = f'vibespace completion fish | source; complete -C "{line}"'
        fish = vs.place.command("fish", "--no-config", "-c", script)
        done = subprocess.run(fish, env=vs.environment(), capture_output=True, text=True, check=True)
        assert [word.split("\t")[0] for word in done.stdout.splitlines()] == [offered]


def test_zsh(vs: Installation, demo: str) -> None:
    """So does zsh, on a terminal: the word is completed when Tab is pressed."""
    mine, its = pty.openpty()
    with subprocess.Popen(
        vs.place.command("zsh", "-f", "-i"),
        env=vs.environment(TERM="dumb", PS1="ready> "),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as shell:
        os.close(its)
        _read(mine, b"ready> ")
        os.write(
            mine, b'autoload -U compinit; compinit -D -u; eval "$(vibespace completion zsh)"; echo set-$((40+2))\n'
        )
        _read(mine, b"set-42")
        os.write(mine, b"vibespace info dem\t")
        _read(mine, f"info {demo} ".encode())
        shell.kill()
        os.close(mine)


@pytest.mark.here("before init there is nothing to be far from")
def test_before_there_is_anything(bare: Installation) -> None:
    """Without a daemon completion offers commands, no names, says nothing, and starts none."""
    assert bash(bare, "vibespace", "sta") == ["start", "status"]
    assert bash(bare, "vibespace", "info", "") == []
    assert not (bare.home / "daemon.lock").exists()


def _read(terminal: int, wanted: bytes) -> None:
    """Return when the terminal has shown `wanted`."""
    shown = b""
    with suppress(OSError):
        while wanted not in shown:
            shown += os.read(terminal, 4096)
    assert wanted in shown
