"""What a container wrote, as Podman and Docker send it: both streams in one, in frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from vibespace.engine.api import Api
from vibespace.engine.base import Written
from vibespace.engine.told import Told
from vibespace.errors import Error, NotFound

_HEAD = 8
"""Bytes before each frame: which stream, three zeros, the length."""
_STDERR = 2


async def read(api: Api, container: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
    """See engine.base.Logs."""
    path = f"/containers/{container}"
    told = Told()
    asked = {"stdout": True, "stderr": True, "timestamps": True, "since": f"{since:.9f}"}
    try:
        if follow:
            async for frame in frames(_while_it_runs(api, path, api.content(f"{path}/logs", follow=True, **asked))):
                told.add(frame)
                yield _written(frame)
        # When following, for what had not come by the container's end: Podman, root's too, leaves out some of a burst,
        # and of a log that it begins anew.
        async for frame in frames(api.content(f"{path}/logs", follow=False, **asked)):
            if not told.take(frame):
                yield _written(frame)
    except NotFound as e:
        if not follow:  # else it has just gone, which is where following ends
            raise gone() from e


async def _while_it_runs(api: Api, path: str, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """`pieces` until the container has ended: a user's Podman 4.3 does not tell who follows what it writes."""
    ended = asyncio.create_task(_ended(api, path))
    try:
        async with aclosing(pieces):
            while True:
                coming = asyncio.ensure_future(anext(pieces, b""))
                try:
                    await asyncio.wait((coming, ended), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait((coming,))
                if coming.cancelled() or not (piece := coming.result()):
                    return
                yield piece
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


async def _ended(api: Api, path: str) -> None:
    """Return when it has ended, or cannot be waited for: why, the next call tells."""
    with suppress(Error):
        async with aclosing(api.stream("POST", f"{path}/wait")) as answers:
            async for _ in answers:
                return


async def frames(pieces: AsyncIterator[bytes]) -> AsyncIterator[Written]:
    """The frames, each whole: one that is cut off, because we hung up, comes with the next reading."""
    left = b""
    async for piece in pieces:
        left += piece
        at = 0
        while len(left) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(left[at + 4 : at + _HEAD], "big")
            if end > len(left):
                break
            yield Written(left[at + _HEAD : end], left[at] == _STDERR)
            at = end
        left = left[at:]


def _written(frame: Written) -> Written:
    """Without its time."""
    return Written(frame.data.partition(b" ")[2], frame.stderr)


def gone() -> NotFound:
    """There is no container, and with it went what it wrote."""
    return NotFound(
        "CONTAINER_NOT_FOUND",
        "The agent has no container now, and what the last one wrote went with it.",
        hint="'vibespace agent list' says how the agent is.",
    )
