"""An engine that is gone amid its work, as far as whoever comes after it can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


def cut(monkeypatch: pytest.MonkeyPatch, engine: Any, calls: int) -> None:
    """Let the engine's n-th call go through, and the process be gone before its answer is used."""
    original, left = engine._api._call, calls

    async def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        answer = await original(*arguments, **more)
        if left <= 0:
            raise asyncio.CancelledError
        return answer

    monkeypatch.setattr(engine._api, "_call", counted)
