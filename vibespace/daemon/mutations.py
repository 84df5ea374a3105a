"""Runs a command, and finds what to answer: the resource as it is now, with the cursor of the first answer."""

from __future__ import annotations

from typing import TypeVar

from vibespace.app.feed import Feed
from vibespace.app.writer import Command, Request, Writer
from vibespace.daemon import convert
from vibespace.daemon.principal import Mutation
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import NotFound
from vibespace.v1.cursor_pb2 import Cursor

A = TypeVar("A", bound=Aggregate)


def is_new(feed: Feed, message: Mutation) -> bool:
    """Whether it may still be refused: what was accepted is answered again, whatever has changed around it."""
    return message.request_id not in feed.state.requests


async def run(feed: Feed, writer: Writer, command: Command, request: Request, kind: type[A]) -> tuple[A, Cursor]:
    """Raises what the command raises; NotFound RESOURCE_FORGOTTEN when a repeat asks for what was deleted long ago."""
    outcome = await writer.run(command, request)
    found = feed.state.aggregates.get(outcome.uid)
    if found is None and (gone := feed.state.gone.get(outcome.uid)):
        found = gone.aggregate
    if not isinstance(found, kind):
        raise NotFound("RESOURCE_FORGOTTEN", "What this request was about was deleted long ago.")
    return found, convert.cursor(feed.log_id, outcome.position)
