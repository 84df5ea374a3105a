"""Whether a cluster answers, and knows us: a watch in which nothing happens says neither."""

from __future__ import annotations

import asyncio
from typing import Any

from vibespace.engine.kubeapi import Api
from vibespace.errors import PermissionDenied, Unavailable, ended

PULSE_SECONDS = 12.0
"""Between two looks. Each costs a call, and what happens in between is seen when it is over."""


class Pulse:
    """Felt by a list of at most one object."""

    def __init__(self, api: Api, path: str, **query: Any) -> None:
        self._api = api
        self._path = path
        self._query = query

    async def run(self) -> None:
        """Until it raises what Api does."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            await self.feel()

    async def feel(self) -> None:
        """Once. One that has just started knows nobody's rights for a moment: it is away still."""
        try:
            await self._api.get(self._path, **self._query, limit=1)
        except PermissionDenied as e:
            raise Unavailable("ENGINE_UNREACHABLE", ended(f"The cluster cannot answer now: {e.message}")) from e
