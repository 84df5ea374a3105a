"""Which events a request means. What there cannot be is refused: it would look like what has not happened."""

from __future__ import annotations

import asyncio

from vibespace.app.feed import Feed
from vibespace.app.index import Wanted
from vibespace.app.log import Log
from vibespace.domain import kinds, names
from vibespace.errors import InvalidArgument, NotFound
from vibespace.v1 import events_pb2 as v1

_TYPES = {noun: kinds.event_types(kind) for noun, kind in kinds.KINDS.items()}
"""By noun."""


async def wanted(request: v1.StreamEventsRequest, feed: Feed, log: Log) -> Wanted:
    """Raises InvalidArgument TYPE_UNKNOWN, NotFound VIBESPACE_NOT_FOUND for one that there never was."""
    _check_type(request.type)
    vibespace = names.parse_vibespace(request.parent, "parent") if request.parent else ""
    found = Wanted(vibespace, request.type)
    if not vibespace or request.follow or vibespace in feed.state.vibespaces:
        return found  # it may be followed before it is there
    if not await asyncio.to_thread(log.find, Wanted(vibespace), 0, feed.state.position, 1):
        raise NotFound(
            "VIBESPACE_NOT_FOUND",
            f"There has never been a vibespace {vibespace[:60]!a}.",
            hint="'vibespace events --type vibespace.created' shows all there ever were.",
            vibespace=vibespace,
        )
    return found


def _check_type(type: str) -> None:
    noun = type.partition(".")[0]
    if not type or type in _TYPES or type in _TYPES.get(noun, ()):
        return
    if noun in _TYPES:
        told = f"Events of {noun} are of the types {', '.join(_TYPES[noun])}"
    else:
        told = f"Events are of the nouns {', '.join(_TYPES)}, or of a type such as {_TYPES['agent'][0]}"
    raise InvalidArgument("TYPE_UNKNOWN", f"{told}; {type[:60]!a} is none of them.", field="type")


def position(request: v1.StreamEventsRequest, feed: Feed) -> int:
    """After which the events are meant. Raises InvalidArgument, FailedPrecondition LOG_CHANGED."""
    if not 0 <= request.after_position <= feed.state.position:
        raise no_position(request.after_position, feed.state.position, "after_position")
    return feed.check(request.after.log_id, request.after.position or request.after_position)


def no_position(given: int, newest: int, field: str) -> InvalidArgument:
    """What is refused for a place that is not in the history."""
    text = f"The history has positions 1 to {newest}; {given} is none of them."
    return InvalidArgument("POSITION_INVALID", text, field=field)


def limit(request: v1.StreamEventsRequest) -> int | None:
    """How many at most; None for all."""
    if request.limit < 0:
        raise InvalidArgument("LIMIT_INVALID", "A limit cannot be negative; 0 means all.", field="limit")
    return request.limit or None
