"""A state directory with a daemon in miniature, and the command line run in this process."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from vibespace_cli import main

from tests.cli.daemon import Daemon


class Done(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The envelope."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty state directory, on a path short enough for a socket; no settings from outside."""
    made = Path(tempfile.mkdtemp(prefix="vs-"))
    for name in [n for n in os.environ if n.startswith("VIBESPACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VIBESPACE_HOME", str(made))
    monkeypatch.setenv("COLUMNS", "100")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """What answers the command line."""
    served = Daemon(home / "daemon.sock")
    yield served
    served.stop()


@pytest.fixture
def vibespace(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line."""

    def run(*arguments: str) -> Done:
        code = main.run(list(arguments))
        return Done(code, *capfd.readouterr())

    return run
