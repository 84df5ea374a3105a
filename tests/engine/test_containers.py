"""What the containers engine does where a real one does it only with much to do."""

from __future__ import annotations

from typing import Any

import pytest

from vibespace.engine.containers import ContainersEngine
from vibespace.errors import Aborted


class Busy:
    """Refuses as often as there are refusals left."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    async def post(self, path: str, body: Any = None) -> None:
        self.asked += 1
        if self.refusals:
            raise Aborted("ENGINE_REFUSED", self.refusals.pop(0))


@pytest.mark.parametrize(
    ("refusals", "asked"),
    [
        ([], 1),
        (["mounting storage for container c: lstat merged: no such file or directory"], 2),
        (["no such device"], 1),
        (["mounting storage for container c"] * 3, 2),
    ],
)
async def test_a_mount_that_was_just_put_away_is_made_again(
    monkeypatch: pytest.MonkeyPatch, refusals: list[str], asked: int
) -> None:
    """Once; what is refused for another reason, or again, is told."""
    engine, busy = ContainersEngine("nowhere", "log"), Busy(*refusals)
    monkeypatch.setattr(engine, "_api", busy)
    if len(refusals) < asked:
        await engine._start("/containers/c")
    else:
        with pytest.raises(Aborted):
            await engine._start("/containers/c")
    assert busy.asked == asked
