"""Two streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def either(first: AsyncIterator[A], second: AsyncIterator[B] | None) -> AsyncIterator[A | B]:
    """What comes of either, as it comes, until `first` ends; what it raises is raised."""
    if second is None:
        async for item in first:
            yield item
        return
    waiting: dict[asyncio.Task[A | B], AsyncIterator[A | B]] = {_next(each): each for each in (first, second)}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in waiting if each in done]:
                source = waiting.pop(task)
                with suppress(StopAsyncIteration):
                    yield task.result()
                    waiting[_next(source)] = source
                if source is first and source not in waiting.values():
                    return
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _next(source: AsyncIterator[A]) -> asyncio.Task[A]:
    async def next_() -> A:
        return await anext(source)

    return asyncio.create_task(next_())
