"""The daemon killed amid its work, at a step that a relay in front of its engine counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tests.e2e.installation import Installation

MOMENTS = ("before", "after")


class Watched(Protocol):
    """A relay that tells of the calls that change something."""

    calls: list[str]

    def watch_calls(
        self, before: Callable[[int], bool] | None = None, after: Callable[[int], bool] | None = None
    ) -> None: ...


def interrupted(killed: Installation, relay: Watched, step: int, moment: str, *words: str) -> None:
    """Run a command whose work is cut off at that step; it waits for its end all the same."""
    pids: list[int] = []

    def kill(number: int) -> bool:
        if number != step or pids:
            return False
        pids.append(killed.kill())
        return True

    relay.watch_calls(**{moment: kill})
    killed.ok(*words)
    relay.watch_calls()
    assert pids, f"there was no step {step}: {relay.calls}"
    assert killed.alive()
    assert killed.pid != pids[0]
