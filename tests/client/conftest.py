"""A state directory whose daemon calls start."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.calling import end
from vibespace import launch
from vibespace.state import State


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    """A state directory on the engine in memory; the daemon that a test starts there is ended after it."""
    monkeypatch.setenv("VIBESPACE_ENGINE", "fake")
    monkeypatch.setenv("PYTHONPATH", str(Path(launch.__file__).parent.parent))  # not everybody installs it
    made = State(Path(tempfile.mkdtemp(prefix="vs-")))
    yield made
    end(made, signal.SIGTERM)
    shutil.rmtree(made.home)
