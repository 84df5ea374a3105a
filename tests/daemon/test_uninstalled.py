"""A daemon where `uninstall --keep-data` has left only the data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.daemon.running import create, refused, serving, whole
from vibespace import durable
from vibespace.engine.fake_world import World
from vibespace.setup import installation
from vibespace.setup.installation import Installation
from vibespace.state import State
from vibespace.v1.events_pb2 import StreamEventsRequest
from vibespace.v1.system_pb2 import GetStatusRequest, RestRequest
from vibespace.v1.vibespaces_pb2 import ListVibespacesRequest


async def test_init_that_cannot_be_noted_is_none(home: Path, world: World) -> None:
    """Else all else would be refused while agents run; once the marker can be written, `init` is done."""
    async with serving(home, world) as running:
        await running.init()
    _uninstall(home)
    obstacle = durable.draft(State(home).marker)
    async with serving(home, world) as running:
        obstacle.mkdir()
        assert (await refused(running.init())).reason == "HOME_NOT_USABLE"
        assert (await refused(running.vibespaces.ListVibespaces(ListVibespacesRequest()))).reason == "UNINSTALLED"
        obstacle.rmdir()
        await running.init()
        await running.vibespaces.ListVibespaces(ListVibespacesRequest())
    found = installation.read(State(home))
    assert found is not None
    assert not found.uninstalled


def _uninstall(home: Path) -> Installation:
    """What `uninstall --keep-data` leaves of the marker; the marker as it was."""
    found = installation.read(State(home))
    assert found is not None
    installation.write(State(home), replace(found, uninstalled=True))
    return found


async def test_nothing_is_done_until_init(home: Path, world: World) -> None:
    """It tells `init` what was chosen and refuses all else; after what ran runs again, and has at no time failed."""
    async with serving(home, world) as running:
        await running.init()
        await running.vibespaces.CreateVibespace(create())
        await running.until(lambda feed: any(agent.observed == "running" for agent in feed.state.agents()))
    found = _uninstall(home)
    for kind, name in [key for key in world.things if key[0] != "volume"]:
        world.drop(kind, name)
    async with serving(home, world) as running:
        position = running.feed.state.position
        assert (await refused(running.vibespaces.ListVibespaces(ListVibespacesRequest()))).reason == "UNINSTALLED"
        assert (await refused(running.system.Rest(RestRequest()))).reason == "UNINSTALLED"
        assert (await running.system.GetStatus(GetStatusRequest())).host.engine.brand
        assert (running.feed.engine_seen, running.feed.state.position) == (False, position)
        assert {kind for kind, _ in world.things} == {"volume"}
        await running.init()
        assert installation.read(State(home)) == found
        await running.until(lambda feed: any(agent.observed == "running" for agent in feed.state.agents()))
        asked = StreamEventsRequest(type="agent.observed", after_position=position)
        [page] = await whole(running.events.StreamEvents(asked))
        assert [json.loads(event.data)["state"] for event in page.events] == ["stopped", "starting", "running"]
