"""What `uninstall` says before it asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from vibespace_cli.handmade import uninstall

from vibespace.setup.engine import Choice
from vibespace.setup.installation import Installation
from vibespace.setup.objects import Objects
from vibespace.setup.uninstall import Plan
from vibespace.state import State


@pytest.mark.parametrize("keep_data", [True, False])
@pytest.mark.parametrize("images", [("0123",), ()])
def test_an_image_that_goes_and_is_wanted_again_is_told(tmp_path: Path, keep_data: bool, images: Sequence[str]) -> None:
    """With --keep-data the next init builds the agents' image anew, where it was in an engine of ours."""
    engine = Choice("podman", "/ours/sock", private=True)
    made = Plan(
        state=State(tmp_path),
        installation=Installation("log", engine),
        objects=Objects({"1": "one"}, images=tuple(images)),
        files=[],
        kept=[],
        outside=[],
        left=[],
        keep_data=keep_data,
    )
    assert any("builds it anew" in line for line in uninstall._goes(made)) is (keep_data and bool(images))
