"""What goes with an installation is counted as people count it: vibespaces, agents, bytes."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vibespace.engine import bodies
from vibespace.engine.api import Api
from vibespace.errors import Error, Unavailable
from vibespace.setup import objects
from vibespace.setup.objects import Objects

ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
VOLUMES = (
    bodies.shared_volume(ONE),
    bodies.home_volume(ONE, "claude-1"),
    bodies.home_volume(ONE, "take-home-codex"),
    bodies.logins_volume(ONE),
    bodies.shared_volume(TWO),
    "0123abcd",  # what an image declares
)


class Measuring:
    """As much of an engine as says how large its volumes are."""

    def __init__(self, answer: dict[str, int] | Error) -> None:
        self._answer = answer

    async def get(self, path: str, **query: Any) -> Any:
        assert (path, query) == ("/system/df", {"type": "volume"})
        if isinstance(self._answer, Error):
            raise self._answer
        return {"Volumes": [{"Name": name, "UsageData": {"Size": size}} for name, size in self._answer.items()]}


def test_volumes_tell_vibespaces_and_agents() -> None:
    """A vibespace has shared files, an agent has a home; what is named otherwise is neither."""
    there = Objects({}, volumes=VOLUMES)
    assert (there.vibespaces, there.agents) == (2, 2)
    assert bodies.volume_of(VOLUMES[2]) == (ONE, "take-home-codex")
    assert bodies.volume_of(VOLUMES[3]) == (ONE, "")


@pytest.mark.parametrize(
    ("answer", "measured"),
    [
        ({"vs-a": 5, "vs-b": 7, "another's": 100}, 12),
        ({"vs-a": 5, "vs-b": -1}, None),
        ({"vs-a": 5}, None),
        (Unavailable("ENGINE_UNREACHABLE", "It hung up."), None),
    ],
)
async def test_the_size_is_that_of_all_or_none(answer: dict[str, int] | Error, measured: int | None) -> None:
    """Bytes of our volumes alone; an engine that does not say of each, or fails, keeps nobody from uninstalling."""
    there = Objects({}, volumes=("vs-a", "vs-b"))
    assert await objects.measure(cast("Api", Measuring(answer)), there) == measured
