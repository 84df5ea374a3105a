"""What engines answer to the question of what a container uses, and what is made of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vibespace.engine import meter
from vibespace.engine.api import Api
from vibespace.engine.base import Usage

CPU = {"cpu_usage": {"total_usage": 1_500_000_000}}
TOLD: dict[str, tuple[Any, dict[str, Usage]]] = {
    "all": (
        {"memory_stats": {"usage": 4096}, "pids_stats": {"current": 3}, "cpu_stats": CPU},
        {"a": Usage(memory_bytes=4096, cpu_seconds=1.5, processes=3)},
    ),
    "Podman, not started yet": (None, {}),
    "no control groups": ({"memory_stats": {"usage": 4096}, "pids_stats": {}, "cpu_stats": CPU}, {}),
    "some control groups": (
        {"memory_stats": {"usage": 0}, "pids_stats": {"current": 3}, "cpu_stats": {"cpu_usage": {"total_usage": 0}}},
        {"a": Usage(processes=3)},
    ),
}


class Answering:
    """An Api that has one answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def get(self, _path: str, **_query: object) -> Any:
        return self._answer


@pytest.mark.parametrize(("answer", "expected"), TOLD.values(), ids=TOLD.keys())
async def test_what_is_not_measured_is_not_told(answer: Any, expected: dict[str, Usage]) -> None:
    """Where a control group was not given there is no figure, which is not the same as nothing used."""
    assert await meter.usage(cast(Api, Answering(answer)), ["a"]) == expected
