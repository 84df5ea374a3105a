"""What is said before root runs a command, and by whom it is run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from vibespace.errors import Aborted
from vibespace.setup import root

SUDO = '#!/bin/sh\n[ "$1" = -- ] && shift\nIN_SUDO=yes exec "$@"\n'


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An ordinary user's, without sudo: where programs are."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_each_is_said_whole(said: list[str]) -> None:
    """A script of many lines is shown to its last one, and a second command for the same reason as well; none twice."""
    run = root.runner(said.append)
    script = "one=1\ntwo=2\necho $((one + two))"
    for command in (("sh", "-c", script), ("true",), ("true",)):
        run(command, "adds up")
    shown = shlex.join(("sh", "-c", script))
    assert said == [f"As root, which adds up:\n{shown}", "As root, which adds up:\ntrue"]


def test_it_is_said_before_it_runs(said: list[str], tmp_path: Path) -> None:
    """What cannot be undone can still be prevented."""

    def say(text: str) -> None:
        assert not (tmp_path / "made").exists()
        said.append(text)

    root.runner(say)(("touch", str(tmp_path / "made")), "makes it")
    assert (tmp_path / "made").exists()
    assert len(said) == 1


def test_a_user_asks_sudo(users: Path, said: list[str]) -> None:
    """It runs the very command that was said."""
    (users / "sudo").write_text(SUDO)
    (users / "sudo").chmod(0o755)
    assert root.runner(said.append)(("/bin/sh", "-c", "echo $IN_SUDO"), "asks") == "yes\n"
    assert said == ["As root, which asks:\n/bin/sh -c 'echo $IN_SUDO'"]


def test_without_sudo(users: Path, said: list[str]) -> None:
    """What to type as root is said."""
    with pytest.raises(Aborted) as refused:
        root.runner(said.append)(("systemctl", "enable", "a b"), "asks")
    assert refused.value.reason == "ROOT_REFUSED"
    assert refused.value.hint == "Run as root: systemctl enable 'a b'"


@pytest.mark.parametrize(("script", "why"), [("echo no >&2; exit 1", "no."), ("exit 3", "exit code 3")])
def test_what_fails(said: list[str], script: str, why: str) -> None:
    """Its own last words, or how it ended."""
    with pytest.raises(Aborted) as refused:
        root.runner(said.append)(("sh", "-c", script), "tries")
    assert refused.value.reason == "ROOT_REFUSED"
    assert refused.value.message.startswith("What tries has failed as root:")
    assert why in refused.value.message
