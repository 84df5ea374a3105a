"""Whatever goes wrong with one call of the engine, a vibespace's whole life comes to the end that was asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.daemon.running import Running, quiet, serving, whole
from vibespace.engine.fake import FakeEngine, Fault
from vibespace.engine.fake_world import World
from vibespace.reconcile import loop
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v

CALLS = {"apply": 3, "delete": 2, "watch": 1}
"""What the engine is asked in that life: up, down, up again; its agent and itself away; and one look at everything."""

FAULTS = [
    *(Fault("apply", nth, kind) for nth in (1, 2, 3) for kind in ("fail", "lose", "hang", "twice", "refuse")),
    *(Fault("delete", nth, kind) for nth in (1, 2) for kind in ("fail", "lose", "hang", "twice", "refuse")),
    *(Fault("watch", 1, kind) for kind in ("fail", "twice", "refuse", "hang")),
]

ASKED = ["vibespace.created", "agent.created", "vibespace.stop_requested", "vibespace.start_requested"]
ENDED = ["vibespace.deletion_requested", "agent.deleted", "vibespace.deleted"]


async def live(daemon: Running) -> None:
    """Create, stop, start, delete; each when the one before is done."""
    kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    created = await daemon.vibespaces.CreateVibespace(v.CreateVibespaceRequest(vibespace_id="demo", agent=kind))
    name = created.vibespace.name
    await daemon.until(quiet)
    await daemon.vibespaces.StopVibespace(v.StopVibespaceRequest(name=name))
    await daemon.until(quiet)
    assert [kind for kind, _ in daemon_world(daemon).things if kind == "container"] == []
    await daemon.vibespaces.StartVibespace(v.StartVibespaceRequest(name=name))
    await daemon.until(quiet)
    assert [kind for kind, _ in daemon_world(daemon).things if kind == "container"] == ["container"]
    await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=name))
    await daemon.until(lambda feed: not feed.state.vibespaces)
    assert daemon_world(daemon).things == {}


def engine_of(daemon: Running) -> FakeEngine:
    engine = daemon.daemon._late.engine
    assert isinstance(engine, FakeEngine)
    return engine


def daemon_world(daemon: Running) -> World:
    return engine_of(daemon).world


async def told(daemon: Running) -> list[str]:
    """The types of all that happened to vibespaces and agents, but for what was seen of them."""
    pages = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest()))
    types = [event.type for page in pages for event in page.events]
    return [name for name in types if name in (*ASKED, *ENDED)]


async def test_the_table_has_every_call(home: Path, world: World) -> None:
    """Where nothing goes wrong the engine is asked just what the table breaks, and nothing twice."""
    async with serving(home, world) as daemon:
        await daemon.init()
        await live(daemon)
        assert engine_of(daemon)._calls == Counter(CALLS)
        assert await told(daemon) == [*ASKED, *ENDED]
    assert Counter(verb for verb, _ in {(fault.verb, fault.nth) for fault in FAULTS}) == Counter(CALLS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.verb}-{fault.nth}-{fault.kind}")
async def test_a_fault_delays_and_changes_nothing(
    home: Path, world: World, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that fails, refuses, hangs, loses its answer or is done twice is made up for; what people asked for is
    recorded once, and in the engine nothing is left.
    """
    monkeypatch.setattr(loop, "_LONGEST", 0.2)
    monkeypatch.setattr(loop, "_FIRST_SNAPSHOT", 0.2)
    async with serving(home, world, [fault]) as daemon:
        await daemon.init()
        await live(daemon)
        assert engine_of(daemon)._calls[fault.verb] >= fault.nth
        assert await told(daemon) == [*ASKED, *ENDED]


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.kind == "hang"], ids=lambda f: f"{f.verb}-{f.nth}")
async def test_a_daemon_can_end_while_the_engine_hangs(home: Path, world: World, fault: Fault) -> None:
    """Told to end amid a call that is not answered it ends, and the next one does the rest."""
    async with serving(home, world, [fault]) as daemon:
        await daemon.init()
        kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
        for n in range(CALLS["apply"]):
            await daemon.vibespaces.CreateVibespace(v.CreateVibespaceRequest(vibespace_id=f"v{n}", agent=kind))
        for n in range(CALLS["delete"]):
            await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=f"vibespaces/v{n}"))
        await daemon.until(lambda _: engine_of(daemon)._calls[fault.verb] >= fault.nth)
    async with serving(home, world) as daemon:
        await daemon.until(lambda feed: quiet(feed) and set(feed.state.vibespaces) == {"v2"})
