"""What `image list` shows of what the engine has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from vibespace_cli import machine

from tests.cli.conftest import Run
from vibespace.setup import image, init

DIGITS = "0123456789abcdef" * 4
TAGS = [f"localhost/vibespace-agent:{DIGITS[:12]}", "localhost/vibespace-agent:latest"]


@pytest.fixture(autouse=True)
def _one(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def api(_: Any) -> AsyncIterator[None]:
        yield None

    async def listed(_: Any) -> list[image.Image]:
        return [
            image.Image(f"sha256:{DIGITS}", TAGS, 86400 * 365, 480_000_000, {"claude": "2.0.14", "codex": "0.46.0"})
        ]

    monkeypatch.setattr(machine, "builder", lambda _: SimpleNamespace(choice=None))
    monkeypatch.setattr(init, "api", api)
    monkeypatch.setattr(image, "list_images", listed)


def test_a_terminal_of_80_columns_shows_every_tag_and_date(vibespace: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags go on below each other, the programs below their row; the id is short, as everywhere on a terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("vibespace_cli.output.Output.as_json", False)
    lines = vibespace("image", "list").out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    seen = " ".join(" ".join(lines).split())
    for told in ("0123456789ab ", "1971-01-01 ", "480 MB", "claude 2.0.14, codex 0.46.0", ":latest"):
        assert told in seen
    assert "".join(TAGS) in "".join(line[14:].partition("  ")[0].strip() for line in lines[2:])


def test_columns_for_scripts_have_the_whole_id(vibespace: Run) -> None:
    """--plain shortens nothing."""
    assert vibespace("image", "list", "--plain").out.split("\t")[:2] == [f"sha256:{DIGITS}", " ".join(TAGS)]
