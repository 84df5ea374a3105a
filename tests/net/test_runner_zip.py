"""The runner, as it is sent inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vibespace.net.runner_zip import packed


def test_the_same_sources_are_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is made: by its digest it is known whether one that runs is of another version."""
    first = packed()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    assert packed() == first


def test_it_runs_where_nothing_of_ours_is(tmp_path: Path) -> None:
    """Alone in a file, with the standard library only, it says what it can."""
    program = tmp_path / "runner.pyz"
    program.write_bytes(packed())
    words = [sys.executable, "-I", "-S", str(program)]
    done = subprocess.run(words, env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].split()[0] == "serve"
