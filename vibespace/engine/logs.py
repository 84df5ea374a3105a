"""What a container wrote, as Podman and Docker send it: both streams in one, in frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from vibespace.engine.api import Api
from vibespace.engine.base import Written
from vibespace.errors import Error, NotFound

_HEAD = 8
"""Bytes before each frame: which stream, three zeros, the length."""
_STDERR = 2


async def read(api: Api, container: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
    """See engine.base.Logs."""
    path = f"/containers/{container}"
    told = 0  # bytes of both streams together, whose order is the same each time
    asked = {"stdout": True, "stderr": True, "since": f"{since:.9f}"}
    try:
        if follow:
            async for written in frames(_while_it_runs(api, path, api.content(f"{path}/logs", follow=True, **asked))):
                told += len(written.data)
                yield written
        # When following, for what had not come by the container's end: Podman, root's too, hangs up with some untold.
        async for written in frames(api.content(f"{path}/logs", follow=False, **asked)):
            rest = written.data[told:]
            told -= len(written.data) - len(rest)
            if rest:
                yield Written(rest, written.stderr)
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
    """What is in the frames, handed on as it comes; one that is cut off at the end counts as it is."""
    head, left = b"", 0
    async for piece in pieces:
        while piece:
            if not left:
                take = _HEAD - len(head)
                head, piece = head + piece[:take], piece[take:]
                if len(head) == _HEAD:
                    left = int.from_bytes(head[4:], "big")
                    head, kind = (b"", head[0]) if left else (b"", 0)
                continue
            data, piece = piece[:left], piece[left:]
            left -= len(data)
            yield Written(data, kind == _STDERR)


def gone() -> NotFound:
    """There is no container, and with it went what it wrote."""
    return NotFound(
        "CONTAINER_NOT_FOUND",
        "The agent has no container now, and what the last one wrote went with it.",
        hint="'vibespace info' says how the agent is.",
    )
