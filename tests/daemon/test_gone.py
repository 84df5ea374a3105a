"""What is gone leaves nothing: a daemon that is used for a year is no larger than after a day."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections import OrderedDict

import pytest

from tests.daemon.running import Running, create, quiet, refused, whole
from vibespace.engine.fake import FakeEngine
from vibespace.engine.fake_world import World
from vibespace.reconcile import loop
from vibespace.reconcile.queue import Queue
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import credentials_pb2 as c
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v

LIVES = 3
NAME = "short-lived"
PARENT = f"vibespaces/{NAME}"
PRIMARY = f"{PARENT}/agents/claude-1"


@pytest.fixture(autouse=True)
def looks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of after seconds, for which a key is remembered and a test would wait."""
    monkeypatch.setattr(loop, "_SECOND_LOOK", 0)


async def live(daemon: Running) -> set[object]:
    """All that can be done with one, to its end; what its things were called by."""
    settings = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE, env=["TOKEN=a long enough value"])
    created = await daemon.vibespaces.CreateVibespace(create(NAME, agent=settings, request_id=str(uuid.uuid4())))
    added = await daemon.agents.CreateAgent(a.CreateAgentRequest(parent=PARENT))
    git = c.CredentialSettings(type=c.CREDENTIAL_TYPE_GIT, host="example.org")
    for parent in (PARENT, added.agent.name):
        asked = c.SetCredentialRequest(parent=parent, credential=git, value="a-long-enough-value")
        await daemon.credentials.SetCredential(asked)
    await daemon.until(quiet)
    found = {created.vibespace.uid, added.agent.uid}
    for name in (PRIMARY, added.agent.name):
        found.add((await daemon.agents.GetAgent(a.GetAgentRequest(name=name))).agent.uid)
        start = a.ExecStart(name=name, command=["true"])
        [ended] = [r async for r in daemon.agents.Exec(iter([a.ExecRequest(start=start)]))]
        assert ended.exit == a.ExecExit(code=0)
    await whole(daemon.events.Watch(ev.WatchRequest()))
    await whole(daemon.events.StreamEvents(ev.StreamEventsRequest()))
    await daemon.agents.DeleteAgent(a.DeleteAgentRequest(name=added.agent.name))
    await daemon.vibespaces.StopVibespace(v.StopVibespaceRequest(name=PARENT))
    await daemon.until(quiet)
    await refused(whole(daemon.agents.Exec(iter([a.ExecRequest(start=a.ExecStart(name=PRIMARY, command=["true"]))]))))
    await daemon.vibespaces.StartVibespace(v.StartVibespaceRequest(name=PARENT))
    await daemon.until(quiet)
    await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=PARENT))
    await daemon.until(lambda feed: not feed.state.vibespaces)
    return {*found, *(uuid.UUID(uid) for uid in found), NAME}


async def at_rest() -> None:
    """Return when no key is looked at any more."""
    while looking := [task for task in asyncio.all_tasks() if _name(task) == Queue._run.__qualname__]:
        await asyncio.wait(looking)


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")


def holders(keys: set[object]) -> list[object]:
    """Everything in this process that is kept by one of `keys`, or by a pair with one."""
    gc.unfreeze()  # what the start of a daemon has frozen is looked at too
    gc.collect()
    everything = gc.get_objects()
    # What holds only text and numbers is known to the collector by its holder alone.
    tables = {id(found): found for found in gc.get_referents(*everything) if type(found) in (dict, OrderedDict, set)}
    tables.pop(id(keys), None)
    return [table for table in tables.values() if any(_named(key, keys) for key in table)]


def _named(key: object, keys: set[object]) -> bool:
    return key in keys or (type(key) is tuple and not keys.isdisjoint(key))


async def test_nothing_is_kept_by_what_is_gone(daemon: Running, world: World) -> None:
    """After the last of them is gone, no room has anything by its uid or name, but the memory of deletions; and no
    request, connection or command is left over.
    """
    keys: set[object] = set()
    for _ in range(LIVES):
        keys |= await live(daemon)
    await at_rest()
    states = (daemon.feed.state, daemon.daemon._writer._state)
    assert all(len(state.gone) == LIVES * 5 for state in states)
    remembered = [state.gone for state in states]
    assert [found for found in holders(keys) if not any(found is gone for gone in remembered)] == []
    engine = daemon.daemon._late.engine
    assert isinstance(engine, FakeEngine)
    assert (world.things, engine._hashes, engine._insides) == ({}, {}, {})
    assert daemon.daemon._shell._open == set()
