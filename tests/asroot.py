"""Stand-ins for who runs commands as root: see vibespace/setup/root.py."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def nobody(command: Sequence[str], why: str) -> str:
    """For what has nothing to do as root."""
    raise AssertionError(f"it was asked to run {command}, which {why}")


class Commands:
    """Notes what it is told; with `runs` it also runs it, as who runs the tests."""

    def __init__(self, *, runs: bool = False) -> None:
        self.told: list[Sequence[str]] = []
        self._runs = runs

    def __call__(self, command: Sequence[str], why: str) -> str:
        self.told.append(command)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout if self._runs else ""
