"""The end of a daemon after a bare `stop`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.daemon.running import IMAGE, create, quiet, refused, serving
from vibespace.engine.fake import FakeEngine
from vibespace.engine.fake_world import World
from vibespace.setup import guard, podman
from vibespace.state import State
from vibespace.v1.events_pb2 import StreamEventsRequest, WatchRequest, WatchResponse
from vibespace.v1.system_pb2 import HostEngine, InitializeRequest
from vibespace.v1.vibespaces_pb2 import VIBESPACE_STATE_STOPPED, VIBESPACE_STATE_UNKNOWN

T = TypeVar("T")

FOLLOW = StreamEventsRequest(follow=True)


async def test_our_own_podman_ends_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended once nobody watches it any more, because who watches it would start it again."""
    happened = []
    close = FakeEngine.close

    async def closed(engine: FakeEngine) -> None:
        happened.append("let go of")
        await close(engine)

    monkeypatch.setattr(FakeEngine, "close", closed)
    monkeypatch.setattr(podman, "stop", lambda _: happened.append("ended"))
    monkeypatch.setattr(guard, "hold", lambda _owner, _allowed: None)  # this machine's firewall has no part in it
    async with serving(home, World()) as running:
        State(home).engine.mkdir()
        ours = HostEngine(brand="podman", version="1", address="memory", private=True)
        await running.system.Initialize(InitializeRequest(engine=ours, image=IMAGE))
        await running.until(lambda feed: feed.engine_seen)
        await running.rest()
    assert happened == ["let go of", "ended"]


async def test_who_watches_is_told_that_it_was_asked_for(home: Path) -> None:
    """Not that the daemon was lost, which clients start again: streams end with the reason, and at once."""
    async with serving(home, World()) as running:
        await running.init()
        await running.until(quiet)
        reading: list[AsyncIterator[object]] = [
            aiter(running.events.Watch(WatchRequest())),
            aiter(running.events.StreamEvents(FOLLOW)),
        ]
        for each in reading:
            await anext(each)
        await running.rest()
        for each in reading:
            assert (await refused(_rest_of(each))).reason == "AT_REST"


async def test_the_last_that_is_told_is_that_it_stopped(home: Path) -> None:
    """Not that nobody knows, because the engine was let go of on the way out."""
    async with serving(home, World()) as running:
        await running.init()
        await running.vibespaces.CreateVibespace(create())
        await running.until(quiet)
        watching = aiter(running.events.Watch(WatchRequest()))
        await anext(watching)
        await running.rest()
        told: list[WatchResponse] = []
        await refused(_rest_of(watching, told))
        states = [change.vibespace.status.state for each in told for change in each.changes if change.vibespace.name]
        assert (states[-1], VIBESPACE_STATE_UNKNOWN in states) == (VIBESPACE_STATE_STOPPED, False)


async def _rest_of(stream: AsyncIterator[T], told: list[T] | None = None) -> None:
    """What is told before the end, into `told`."""
    async for each in stream:
        if told is not None:
            told.append(each)
