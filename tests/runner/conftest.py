"""What the tests of the runner share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.runners import Client, kill, serving


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for pid in serving(tmp_path):
        with Client(tmp_path) as last:
            last.ask({"do": "end"})
        kill(pid)
