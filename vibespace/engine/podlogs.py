"""What an agent's container wrote, as the node kept it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

from vibespace.engine.base import Written
from vibespace.engine.kubeapi import Api
from vibespace.engine.told import Told, time_of
from vibespace.errors import Aborted, NotFound

LONGEST = 1 << 20
"""Bytes of a line that are told: an agent may write one that has no end."""


async def read(api: Api, pod: str, *, follow: bool, since: float, ended: bool) -> AsyncGenerator[Written, None]:
    """See engine.base.Logs; `pod` is its path. `ended`: the kubelet has started another container in it since.

    Both streams come as one here, and the image's program writes to stderr alone.
    """
    told, asked = Told(), {"timestamps": True, **_since(since)}
    try:
        if follow and not ended:
            async with aclosing(_lines(api.content(f"{pod}/log", follow=True, **asked))) as lines:
                async for line in lines:
                    told.add(line)
                    if piece := _written(line, since):
                        yield piece
        # When following, for what had not come by the container's end.
        async with aclosing(_lines(_kept(api, pod, asked, ended=ended or follow))) as lines:
            async for line in lines:
                if not told.take(line) and (piece := _written(line, since)):
                    yield piece
    except NotFound as e:
        if not follow:  # else it has just gone, which is where following ends
            raise gone() from e


async def _kept(api: Api, pod: str, asked: Mapping[str, Any], *, ended: bool) -> AsyncGenerator[bytes, None]:
    """Of the container before the one that there is now, where `ended` says so and there was one."""
    if ended:
        with suppress(Aborted):
            async with aclosing(api.content(f"{pod}/log", previous=True, **asked)) as pieces:
                async for piece in pieces:
                    yield piece
            return
    async with aclosing(api.content(f"{pod}/log", **asked)) as pieces:
        async for piece in pieces:
            yield piece


async def _lines(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[Written, None]:
    """Of one that is longer than LONGEST its beginning."""
    held = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            *lines, rest = piece.split(b"\n")
            for line in lines:
                held += line
                yield Written(bytes(held[:LONGEST]) + b"\n", stderr=True)
                held.clear()
            held += rest
            del held[LONGEST:]
    if held:
        yield Written(bytes(held), stderr=True)


def _written(line: Written, since: float) -> Written | None:
    """Without its time; None of what is older: the API asks by whole seconds. The kubelet's own words, such as that it
    cannot read on, have no time, and are told as they are.
    """
    time = time_of(line)
    if time is None:
        return line
    return Written(line.data.partition(b" ")[2], stderr=True) if time.timestamp() >= since else None


def _since(since: float) -> dict[str, Any]:
    return (
        {"sinceTime": datetime.fromtimestamp(int(since), UTC).isoformat().replace("+00:00", "Z")} if since > 0 else {}
    )


def gone() -> NotFound:
    """There is no pod, and with it went what it wrote."""
    return NotFound(
        "CONTAINER_NOT_FOUND",
        "The agent has no container now, and what the last one wrote went with it.",
        hint="'vibespace agent list' says how the agent is.",
    )
