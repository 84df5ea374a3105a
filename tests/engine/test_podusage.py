"""What is believed of what a pod says of itself: whoever lives there may have written it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vibespace.engine import podexec, podusage
from vibespace.engine.kubeapi import Api


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("4096\n8192\n", 12288),
        ("4096\n", None),
        ("4096\n8192\n1\n", None),
        ("4096\n-1\n", None),
        (f"4096\n{'9' * 5000}\n", None),
        ("", None),
    ],
    ids=["told", "one is missing", "one too many", "no size", "none that there is", "silent"],
)
async def test_stored(monkeypatch: pytest.MonkeyPatch, said: str, stored: int | None) -> None:
    """A size for each directory, or none at all."""

    async def answered(*_words: object, seconds: float) -> str:
        return said

    monkeypatch.setattr(podexec, "said", answered)
    assert await podusage.stored(Api(Path("/nowhere")), "pod", ("/a", "/b")) == stored
