"""Programs are found, whoever looks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vibespace.setup.path import program


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PATH leads to comes first, what lies beyond last, and what is nowhere is told so."""
    beyond, first = tmp_path / "beyond", tmp_path / "first"
    for folder in (beyond, first):
        folder.mkdir()
        (folder / "vibespace-test").touch(0o700)
    assert program("vibespace-test") == ""
    assert program("vibespace-test", str(beyond)) == str(beyond / "vibespace-test")
    monkeypatch.setenv("PATH", os.pathsep.join((str(first), os.environ["PATH"])))
    assert program("vibespace-test", str(beyond)) == str(first / "vibespace-test")


def test_a_users_path_lacks_sbin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in sbin is found also by a user whose PATH lacks that."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("iptables") is None
    assert Path(program("iptables")).parent.name == "sbin"
