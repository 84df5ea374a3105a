"""A daemon killed at each moment of a commit: what was committed is there, what was not never was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon.points import POINTS
from tests.daemon.running import initialize, whole
from tests.daemon.test_kill import GONE, Forge, call, dial, forge, forge_process
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.events_pb2_grpc import EventServiceStub

__all__ = ["forge", "forge_process"]

DEMO = "vibespaces/demo"
LIFE: dict[str, Any] = {
    "vibespace.created": v.CreateVibespaceRequest(
        vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX), request_id="r1"
    ),
    "vibespace.stop_requested": v.StopVibespaceRequest(name=DEMO, request_id="r2"),
    "vibespace.start_requested": v.StartVibespaceRequest(name=DEMO, request_id="r3"),
    "vibespace.deletion_requested": v.DeleteVibespaceRequest(name=DEMO, request_id="r4"),
}
"""What people ask for, by the event that comes of it."""
SEEN = ["agent.observed", "agent.deleted", "vibespace.deleted"]
"""What the daemon records by itself."""
UNCOMMITTED = ["before the transaction", "before the commit"]


async def begin(forge: Forge, point: str = "", topic: str = "") -> None:
    """The next daemon, which will die at `point`, if it is to."""
    forge.begin(point, topic)
    assert await forge.serves()


async def init(forge: Forge) -> None:
    async with dial(forge) as channel:
        await initialize(channel)


async def types(channel: grpc.aio.Channel) -> list[str]:
    """Of the whole history."""
    pages = await whole(EventServiceStub(channel).StreamEvents(ev.StreamEventsRequest()))
    return [event.type for page in pages for event in page.events]


async def settled(channel: grpc.aio.Channel, state: int) -> None:
    """Return when the vibespace is in `state`, or gone for 0."""
    watching = EventServiceStub(channel).Watch(ev.WatchRequest())
    async for response in watching:
        states = [c.vibespace.status.state for c in response.changes if c.vibespace.name]
        gone = any(c.deleted == DEMO for c in response.changes) or (response.snapshot and not states)
        if state in states or (not state and gone):
            break
    watching.cancel()


WANTED = {
    "vibespace.created": v.VIBESPACE_STATE_RUNNING,
    "vibespace.stop_requested": v.VIBESPACE_STATE_STOPPED,
    "vibespace.start_requested": v.VIBESPACE_STATE_RUNNING,
    "vibespace.deletion_requested": 0,
}


@pytest.mark.parametrize("topic", LIFE)
@pytest.mark.parametrize("point", POINTS)
async def test_what_was_asked_is_there_or_never_was(forge: Forge, point: str, topic: str) -> None:
    """Dead amid the commit of a request, the daemon has recorded all of it or nothing; asked again, it answers, and
    in the end it has happened once.
    """
    await begin(forge, point, topic)
    await init(forge)
    async with dial(forge) as channel:
        for name, request in LIFE.items():
            if name == topic:
                break
            await call(channel, request)
            await settled(channel, WANTED[name])
        with pytest.raises(grpc.aio.AioRpcError) as dead:
            await call(channel, LIFE[topic])
        assert dead.value.code() in GONE
    await forge.died()
    await begin(forge)
    async with dial(forge) as channel:
        assert (await types(channel)).count(topic) == (0 if point in UNCOMMITTED else 1)
        answer = await call(channel, LIFE[topic])
        assert answer.vibespace.name == DEMO
        assert answer.cursor.position > 0
        await settled(channel, WANTED[topic])
        assert (await types(channel)).count(topic) == 1


@pytest.mark.parametrize("topic", SEEN)
@pytest.mark.parametrize("point", POINTS)
async def test_what_was_seen_is_recorded_once(forge: Forge, point: str, topic: str) -> None:
    """Dead while it records what the engine did, the daemon finds it again, and the engine holds nothing too much."""
    await begin(forge, point, topic)
    await init(forge)
    async with dial(forge) as channel:
        await call(channel, LIFE["vibespace.created"])
        if topic != "agent.observed":
            await settled(channel, v.VIBESPACE_STATE_RUNNING)
            await call(channel, LIFE["vibespace.deletion_requested"])
        await forge.died()
    await begin(forge)
    async with dial(forge) as channel:
        if topic == "agent.observed":
            await settled(channel, v.VIBESPACE_STATE_RUNNING)
            await call(channel, LIFE["vibespace.deletion_requested"])
        await settled(channel, 0)
        found = await types(channel)
        assert [found.count(name) for name in SEEN] == [1, 1, 1]
    os.kill(forge.pid, 9)
    await forge.died()
    assert World(Path(f"{forge.state.home}.engine")).things == {}
