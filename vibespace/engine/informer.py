"""All objects of one kind that carry our label, as the cluster has them now: listed once, then followed.

A watch that ends, or is cut, goes on where it was; one whose place is too old begins with a new list (410). A cluster
that does not answer is said by raising Unavailable: the next informer begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from vibespace.engine.kubeapi import Api
from vibespace.engine.pulse import Pulse
from vibespace.errors import Aborted, Unavailable

Object = Mapping[str, Any]

WATCH_SECONDS = 540
"""After which the cluster is asked to end a watch: each end costs a call, and none would let a lost one go unseen."""

CUT_SECONDS = 1.0
"""Before a watch that was cut is asked for again."""


class Informer:
    """Of one path and selector. `objects` is by name, and complete once `synced` is set."""

    def __init__(self, api: Api, path: str, selector: str, changed: Callable[[], None], **query: str) -> None:
        """`changed` is called whenever something has."""
        self._api = api
        self._path = path
        self._query = {"labelSelector": selector, **query}
        self._pulse = Pulse(api, path, **self._query)
        self._changed = changed
        self.objects: dict[str, Object] = {}
        self.synced = asyncio.Event()
        self._version = ""
        """Where to go on; empty where all is to be listed."""

    async def run(self) -> None:
        """Until it raises what Api does."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._follow()
            except Aborted as e:
                if e.reason != "ENGINE_EXPIRED":
                    raise
                self._version = ""
            except Unavailable:
                if not self._version:
                    raise
                await asyncio.sleep(CUT_SECONDS)
                await self._pulse.feel()

    async def _list(self) -> None:
        found = await self._api.list(self._path, **self._query)
        with self._api.understood():
            self.objects = {item["metadata"]["name"]: item for item in found["items"]}
            version = str(found["metadata"]["resourceVersion"])
        self.synced.set()
        self._changed()
        self._version = version

    async def _follow(self) -> None:
        """Until the cluster ends it."""
        query = {**self._query, "resourceVersion": self._version, "timeoutSeconds": WATCH_SECONDS}
        async with aclosing(self._api.watch(self._path, **query)) as events:
            async for event in events:
                with self._api.understood():
                    found = event["object"]
                    self._version = str(found["metadata"]["resourceVersion"])
                    if event["type"] == "BOOKMARK":
                        continue
                    name = found["metadata"]["name"]
                if event["type"] == "DELETED":
                    self.objects.pop(name, None)
                else:
                    self.objects[name] = found
                self._changed()


@asynccontextmanager
async def following(*informers: Informer | Pulse) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """While they are followed; the tasks that do."""
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def stirred(event: asyncio.Event, following: Sequence[asyncio.Task[None]], seconds: float | None = None) -> None:
    """Return when something has changed since the last time, or it is time; raises what ended one who follows."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiting, *following), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in following:
        if task.done():
            task.result()
    event.clear()
