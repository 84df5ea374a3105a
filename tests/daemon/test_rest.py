"""The end of a daemon after a bare `stop`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.daemon.running import IMAGE, create, quiet, refused, serving
from vibespace.daemon import server
from vibespace.engine.fake import FakeEngine
from vibespace.engine.fake_world import World
from vibespace.setup import guard, podman
from vibespace.state import State
from vibespace.v1.events_pb2 import StreamEventsRequest, WatchRequest, WatchResponse
from vibespace.v1.system_pb2 import GetStatusRequest, HostEngine, InitializeRequest, WakeRequest
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


async def test_who_goes_on_at_rest_is_told_by_the_next_daemon(home: Path) -> None:
    """One that was cut off may meet a daemon that somebody has started since to look: it says what the last one
    would have said, and no more is waited for. Who comes anew waits for the start.
    """
    world = World()
    async with serving(home, world) as running:
        await running.init()
        await running.vibespaces.CreateVibespace(create())
        await running.until(quiet)
        await running.rest()
    async with serving(home, world) as running:
        anew = aiter(running.events.Watch(WatchRequest()))
        assert (await anext(anew)).host.resting
        for resumed in (
            running.events.Watch(WatchRequest(resumed=True)),
            running.events.StreamEvents(StreamEventsRequest(follow=True, resumed=True)),
        ):
            assert (await refused(_rest_of(aiter(resumed)))).reason == "AT_REST"
        await running.system.Wake(WakeRequest())
        assert not (await anext(anew)).host.resting
        again = aiter(running.events.Watch(WatchRequest(resumed=True)))
        await anext(again)
        await running.rest()
        assert (await refused(_rest_of(again))).reason == "AT_REST"


async def test_a_watch_tells_that_all_was_woken_where_nothing_is(home: Path) -> None:
    """Without a vibespace no state changes, and who waits for the end would wait for ever."""
    async with serving(home, World()) as running:
        await running.init()
        await running.until(quiet)
        await running.rest()
    async with serving(home, World()) as running:
        cursor = (await running.system.GetStatus(GetStatusRequest())).cursor
        watching = aiter(running.events.Watch(WatchRequest(after=cursor)))
        woken = (await running.system.Wake(WakeRequest())).cursor.position
        told = [await anext(watching)]
        while told[-1].cursor.position < woken:
            told.append(await anext(watching))
        assert (told[-1].HasField("host"), told[-1].host.resting) == (True, False)


async def test_one_that_is_woken_on_its_way_out_says_nothing_of_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the engine was let go of, somebody started everything: those who watch go on with the next daemon."""
    close = FakeEngine.close
    async with serving(home, World()) as running:

        async def closed(engine: FakeEngine) -> None:
            await running.system.Wake(WakeRequest())
            await close(engine)

        monkeypatch.setattr(FakeEngine, "close", closed)
        await running.init()
        await running.until(quiet)
        watching = aiter(running.events.Watch(WatchRequest()))
        await anext(watching)
        monkeypatch.setattr(server, "GRACE", 0.0)
        await running.rest()
        assert (await refused(_rest_of(watching))).reason == "GRPC_UNAVAILABLE"


async def _rest_of(stream: AsyncIterator[T], told: list[T] | None = None) -> None:
    """What is told before the end, into `told`."""
    async for each in stream:
        if told is not None:
            told.append(each)
