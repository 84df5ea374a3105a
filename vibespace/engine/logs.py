"""What a container wrote, as Podman and Docker send it: both streams in one, in frames."""

from __future__ import annotations

from collections.abc import AsyncIterator

from vibespace.engine.api import Api
from vibespace.engine.base import Written
from vibespace.errors import NotFound

_HEAD = 8
"""Bytes before each frame: which stream, three zeros, the length."""
_STDERR = 2


async def read(api: Api, container: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
    """See engine.base.Logs."""
    asked = {"stdout": True, "stderr": True, "follow": follow, "since": f"{since:.9f}"}
    try:
        pieces = api.content(f"/containers/{container}/logs", **asked)
        async for written in frames(pieces):
            yield written
    except NotFound as e:
        raise gone() from e


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
