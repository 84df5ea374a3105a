"""What agents are given to run on, over the wire: their image, network and limits, and what they use of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.daemon.running import DEMO, IMAGE, PRIMARY, Running, create, initialize, quiet, refused, serving
from vibespace import errors
from vibespace.daemon import __main__ as composition
from vibespace.daemon.guard import Guard
from vibespace.engine.base import Usage
from vibespace.engine.fake import FakeEngine
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import vibespaces_pb2 as v

FULL = v.GetVibespaceRequest(name=DEMO, view=a.VIEW_FULL)
BASIC = v.GetVibespaceRequest(name=DEMO)


async def test_another_image_is_taken_at_the_next_start(demo: Running) -> None:
    """After a newer image was recorded an agent shows both, until it has started again."""
    await initialize(demo.channel, "a-newer-image")
    status = (await demo.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))).agent.status
    assert (status.image, status.next_image) == (IMAGE, "a-newer-image")
    await demo.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await demo.until(quiet)
    await demo.vibespaces.StartVibespace(v.StartVibespaceRequest(name=DEMO))
    await demo.until(quiet)
    status = (await demo.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))).agent.status
    assert (status.image, status.next_image) == ("a-newer-image", "")


async def test_an_image_of_ones_own(home: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used for the vibespace's agents; what it lacks is told before anything is created."""

    async def open_engine(host: Any, *_: object) -> FakeEngine:
        lacking = {"bare": ("the program git", "/bin/bash")}
        return FakeEngine(host.uid, world, image_missing=frozenset({"missing"}), lacking=lacking)

    async with serving(home, world) as daemon:
        monkeypatch.setattr(composition, "open_engine", open_engine)
        await daemon.init()
        await daemon.until(quiet)
        for image, reason in (("bare", "IMAGE_UNFIT"), ("missing", "IMAGE_NOT_FOUND"), ("-x y", "IMAGE_INVALID")):
            wrong = await refused(daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(image=image))))
            assert wrong.reason == reason
        assert daemon.feed.state.vibespaces == {}
        await daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(image="mine")))
        await daemon.until(quiet)
        got = await daemon.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))
        assert (got.agent.status.image, got.agent.status.next_image) == ("mine", "")


async def test_a_closed_network_needs_an_engine_that_reaches_it(home: Path, world: World) -> None:
    """On a rootless engine it is refused before anything is created."""
    async with serving(home, world) as daemon:
        await initialize(daemon.channel, rootless=True)
        closed = v.VibespaceSpec(network=v.NETWORK_NONE)
        wrong = await refused(daemon.vibespaces.CreateVibespace(create(spec=closed)))
        assert (type(wrong), wrong.reason) == (errors.FailedPrecondition, "NETWORK_NOT_REACHABLE")
        opened = await daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(network=v.NETWORK_OPEN)))
        assert opened.vibespace.spec.network == v.NETWORK_OPEN


async def test_what_is_allowed_comes_from_the_settings(daemon: Running, home: Path) -> None:
    """As they are at create, whatever the request says; a closed network opens nothing, wrong settings refuse."""
    settings = home / "config.yaml"
    settings.write_text("network: {allow: [10.0.0.0/8:80]}")
    asked = v.VibespaceSpec(allow=["0.0.0.0/0:22"])
    got = await daemon.vibespaces.CreateVibespace(create(spec=asked))
    assert got.vibespace.spec.allow == ["10.0.0.0/8:80"]
    settings.write_text("network: {allow: [10.0.0.0/8:x]}")
    wrong = await refused(daemon.vibespaces.CreateVibespace(create("other")))
    assert (type(wrong), wrong.reason) == (errors.InvalidArgument, "CONFIG_INVALID")
    assert f"{settings}:1:19: 'network.allow': '10.0.0.0/8:x' is no CIDR:PORT" in wrong.message
    closed = v.VibespaceSpec(network=v.NETWORK_NONE)
    settings.write_text("network: {allow: [10.0.0.0/8:80]}")
    other = await daemon.vibespaces.CreateVibespace(create("other", spec=closed))
    assert other.vibespace.spec.allow == []
    found = await daemon.vibespaces.GetVibespace(FULL)
    assert found.vibespace.spec.allow == ["10.0.0.0/8:80"]
    assert (found.guard.held, "the engine is fake" in found.guard.reason) == (False, True)


async def test_limits_and_usage(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit that was asked for says whether it holds, and why not; what runs says what it uses, when asked."""
    asked = v.VibespaceSpec(cpu_limit="2", memory_limit="1Gi", storage="20Gi")
    await daemon.vibespaces.CreateVibespace(create(spec=asked))
    await daemon.until(quiet)
    got = await daemon.vibespaces.GetVibespace(FULL)
    assert [(limit.setting, limit.asked, limit.enforced) for limit in got.limits] == [
        ("cpu_limit", "2", True),
        ("memory_limit", "1Gi", True),
        ("storage", "20Gi", False),
    ]
    assert "quota" in got.limits[2].reason
    assert got.vibespace.status.usage.HasField("disk_bytes")
    assert not got.agents[0].status.usage.HasField("disk_bytes")
    got.vibespace.status.usage.ClearField("disk_bytes")
    assert got.agents[0].status.usage == got.vibespace.status.usage != a.Usage()
    listed = [
        (await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(usage=usage))).vibespaces[0]
        for usage in (False, True)
    ]
    assert [found.status.HasField("usage") for found in listed] == [False, True]
    assert (
        await daemon.agents.GetAgent(a.GetAgentRequest(name=PRIMARY, view=a.VIEW_FULL))
    ).agent.status.usage.processes > 0
    monkeypatch.setattr(FakeEngine, "enforced", lambda _: _nothing_holds())
    got = await daemon.vibespaces.GetVibespace(FULL)
    assert [limit.enforced for limit in got.limits] == [False] * 3
    assert all(limit.reason for limit in got.limits)


async def test_what_the_engine_does_not_tell_is_not_told(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine may have no figures of what runs, or some: what it stores is told all the same, and nothing as zero."""
    await daemon.vibespaces.CreateVibespace(create())
    await daemon.until(quiet)
    told: dict[str, Usage] = {}
    monkeypatch.setattr(FakeEngine, "usage", lambda _, uids: _figures(told))
    got = await daemon.vibespaces.GetVibespace(FULL)
    assert _names(got.vibespace.status.usage) == ["disk_bytes"]
    assert not got.agents[0].status.HasField("usage")
    told[got.agents[0].uid] = Usage(processes=3)
    got = await daemon.vibespaces.GetVibespace(FULL)
    assert _names(got.vibespace.status.usage) == ["processes", "disk_bytes"]
    assert got.agents[0].status.usage == a.Usage(processes=3)


async def _figures(told: dict[str, Usage]) -> dict[str, Usage]:
    return told


def _names(usage: a.Usage) -> list[str]:
    return [field.name for field, _ in usage.ListFields()]


async def _nothing_holds() -> frozenset[str]:
    return frozenset()


async def test_an_engine_that_is_away_is_no_reason_not_to_answer(demo: Running, world: World) -> None:
    """`info` and `list --usage` answer without what only the engine knows."""
    world.set_reachable(False)
    got = await demo.vibespaces.GetVibespace(FULL)
    assert not got.agents[0].status.HasField("usage")
    assert not got.vibespace.status.HasField("usage")
    await demo.vibespaces.ListVibespaces(v.ListVibespacesRequest(usage=True))


async def test_who_does_not_want_to_know_waits_for_no_engine(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without VIEW_FULL neither engine nor firewall is asked, nor told of."""
    await daemon.vibespaces.CreateVibespace(create(spec=v.VibespaceSpec(cpu_limit="2")))
    await daemon.until(quiet)
    for asked in ("usage", "disk", "enforced"):
        monkeypatch.setattr(FakeEngine, asked, _not_to_be_asked)
    monkeypatch.setattr(Guard, "of", _not_to_be_asked)
    got = await daemon.vibespaces.GetVibespace(BASIC)
    assert (got.HasField("guard"), list(got.limits)) == (False, [])
    agent = (await daemon.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))).agent
    assert [one.status.HasField("usage") for one in (got.vibespace, got.agents[0], agent)] == [False] * 3
    with pytest.raises(grpc.aio.AioRpcError):
        await daemon.vibespaces.GetVibespace(FULL)


async def _not_to_be_asked(*_: object) -> object:
    raise AssertionError
