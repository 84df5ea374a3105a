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
    path, told = f"/containers/{container}", 0
    asked = {"stdout": True, "stderr": True, "since": f"{since:.9f}"}
    try:
        if follow:
            async for written in frames(_while_it_runs(api, path, api.content(f"{path}/logs", follow=True, **asked))):
                told += len(written.data)
                yield written
        async for written in frames(api.content(f"{path}/logs", follow=False, **asked)):
            rest = written.data[told:]
            told -= len(written.data) - len(rest)
            if rest:
                yield Written(rest, written.stderr)
    except NotFound as e:
        if not follow:
            raise gone() from e


async def _while_it_runs(api: Api, path: str, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """`pieces` until the container has ended: a user's Podman 4.3 does not tell who follows what it writes."""
    ended = asyncio.create_task(_ended(api, path))
    try:
        async with aclosing(pieces):
            while True:
                piece = asyncio.ensure_future(anext(pieces, b""))
                try:
                    await asyncio.wait((piece, ended), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not piece.done():
                        piece.cancel()
                        await asyncio.wait((piece,))
                if piece.cancelled() or not (come := piece.result()):
                    return
                yield come
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


async def _ended(api: Api, path: str) -> None:
    """Return when it has ended, or cannot be waited for, which the next call tells."""
    with suppress(Error):
        async for _ in api.stream("POST", f"{path}/wait"):
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
