"""A restart changes nothing that can be seen."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.daemon.running import Running, error_of, quiet, serving, whole
from vibespace.daemon import checkpointer
from vibespace.engine.fake_world import World
from vibespace.errors import Internal, Unavailable
from vibespace.state import State
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.cursor_pb2 import Cursor

NAMES = st.sampled_from(["demo", "other", "third"])
TYPES = st.sampled_from([a.AGENT_TYPE_CLAUDE_CODE, a.AGENT_TYPE_CODEX])
AGENTS = st.sampled_from(["claude-1", "claude-2", "codex-1", "helper"])


def vibespace(name: str) -> str:
    return f"vibespaces/{name}"


def agent(name: str, of: str) -> str:
    return f"vibespaces/{of}/agents/{name}"


def create(name: str, kind: a.AgentType.ValueType, repo: bool, reuse: bool) -> v.CreateVibespaceRequest:
    spec = v.VibespaceSpec(repo="/somewhere/project") if repo else v.VibespaceSpec(cpu="500m")
    return v.CreateVibespaceRequest(
        vibespace_id=name,
        spec=spec,
        agent=a.AgentSettings(type=kind),
        reuse_data=reuse,
    )


def update(name: str, cpu: str) -> v.UpdateVibespaceRequest:
    request = v.UpdateVibespaceRequest(vibespace=v.Vibespace(name=vibespace(name), spec=v.VibespaceSpec(cpu=cpu)))
    request.update_mask.paths.append("spec.cpu")
    return request


COMMANDS = st.lists(
    st.one_of(
        st.builds(create, NAMES, TYPES, st.booleans(), st.booleans()),
        st.builds(create, NAMES, TYPES, st.just(False), st.just(False)),
        st.builds(update, NAMES, st.sampled_from(["500m", "2"])),
        st.builds(lambda n: v.StartVibespaceRequest(name=vibespace(n)), NAMES),
        st.builds(lambda n: v.StopVibespaceRequest(name=vibespace(n)), NAMES),
        st.builds(lambda n, k: v.DeleteVibespaceRequest(name=vibespace(n), keep_data=k), NAMES, st.booleans()),
        st.builds(lambda n, i: a.CreateAgentRequest(parent=vibespace(n), agent_id=i), NAMES, AGENTS | st.just("")),
        st.builds(lambda n, i: a.StartAgentRequest(name=agent(i, n)), NAMES, AGENTS),
        st.builds(lambda n, i: a.StopAgentRequest(name=agent(i, n)), NAMES, AGENTS),
        st.builds(lambda n, i: a.DeleteAgentRequest(name=agent(i, n)), NAMES, AGENTS),
    ),
    min_size=3,
    max_size=25,
)
"""Requests in any order, many of which will be refused."""


async def ask(daemon: Running, request: Any) -> None:
    """Send `request` to the method that takes it. A refusal is an answer too."""
    method = type(request).__name__.removesuffix("Request")
    stub = next(stub for stub in (daemon.vibespaces, daemon.agents, daemon.system) if hasattr(stub, method))
    try:
        await getattr(stub, method)(request)
    except grpc.aio.AioRpcError as e:
        if isinstance(error_of(e), Internal | Unavailable):
            raise


async def answers(daemon: Running) -> dict[str, bytes]:
    """Every Get, List, Watch, Replay and history that can be asked for now, as it goes over the wire."""
    found: dict[str, list[Any]] = {}
    vibespaces = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest())
    agents = await daemon.agents.ListAgents(a.ListAgentsRequest(parent="vibespaces/-"))
    status = await daemon.system.GetStatus(s.GetStatusRequest())
    status.ClearField("daemon")  # its age is its own
    found |= {"vibespaces": [vibespaces], "agents": [agents], "status": [status]}
    pages = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_size=1))
    found["first page"] = [pages]
    for one in vibespaces.vibespaces:
        found[one.name] = [await daemon.vibespaces.GetVibespace(v.GetVibespaceRequest(name=one.name, view=a.VIEW_FULL))]
        found[f"agents of {one.name}"] = [await daemon.agents.ListAgents(a.ListAgentsRequest(parent=one.name))]
        found[f"watch {one.name}"] = await whole(daemon.events.Watch(ev.WatchRequest(parent=one.name)))
    for two in agents.agents:
        found[two.name] = [await daemon.agents.GetAgent(a.GetAgentRequest(name=two.name, view=a.VIEW_FULL))]
    found["watch"] = await whole(daemon.events.Watch(ev.WatchRequest()))
    for position in range(1, vibespaces.cursor.position + 1):
        after = Cursor(log_id=vibespaces.cursor.log_id, position=position)
        found[f"watch after {position}"] = await whole(daemon.events.Watch(ev.WatchRequest(after=after)))
    found["history"] = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest()))
    found["replay"] = [await daemon.events.Replay(ev.ReplayRequest())]
    found["replay 3"] = [await daemon.events.Replay(ev.ReplayRequest(at=3))]
    return {
        what: b"\n".join(part.SerializeToString(deterministic=True) for part in parts) for what, parts in found.items()
    }


@given(commands=COMMANDS, rest=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_every_answer_is_the_same_after_a_restart(commands: list[Any], rest: bool) -> None:
    """After any sequence of commands, every Get, List, Watch, Replay and history is byte for byte what it was before
    the daemon was started again on the same log and engine, and the restart itself recorded nothing.
    """
    world = World()
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "home"
        async with serving(home, world) as daemon:
            await daemon.init()
            for command in commands:
                await ask(daemon, command)
                if isinstance(command, v.CreateVibespaceRequest):
                    await daemon.until(quiet)
            await daemon.until(quiet)
            before = await answers(daemon)
            if rest:
                await daemon.rest()
        if rest:
            async with serving(home, world) as daemon:
                await daemon.until(quiet)
                before = await answers(daemon)
        async with serving(home, world) as daemon:
            await daemon.until(quiet)
            after = await answers(daemon)
    world.close()
    for what, answer in before.items():
        assert after[what] == answer, what
    assert after.keys() == before.keys()


async def test_damage_behind_the_checkpoint_is_found_in_the_background(
    home: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start does not look at what the checkpoint spares it; the doctor says so a little later, and nobody asked."""
    monkeypatch.setattr(checkpointer, "EVERY", 1)
    async with serving(home, world) as daemon:
        await daemon.init()
        await ask(daemon, create("demo", a.AGENT_TYPE_CODEX, repo=False, reuse=False))
        await daemon.until(quiet)
    log = State(home).log
    assert (home / "checkpoint").exists()
    connection = sqlite3.connect(log)
    connection.execute("UPDATE stored_events SET state = CAST(replace(state, 'demo', 'deme') AS BLOB) WHERE position=4")
    connection.commit()
    connection.close()
    async with serving(home, world) as daemon:
        async with asyncio.timeout(60):
            while True:
                found = (await daemon.system.Diagnose(s.DiagnoseRequest())).findings
                [told] = [one for one in found if one.subject == "log"]
                if "still being checked" not in told.message:
                    break
        assert told.severity == s.SEVERITY_ERROR
        assert "Position 4: changed" in told.message
        listed = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest())
        assert [one.vibespace_id for one in listed.vibespaces] == ["demo"]


async def test_a_log_cut_off_while_nobody_looked_is_told(home: Path, world: World) -> None:
    """The checkpoint is ahead of the log then: the start is without it, and the doctor and VerifyLog miss the end."""
    async with serving(home, world) as daemon:
        await daemon.init()
        await ask(daemon, create("demo", a.AGENT_TYPE_CODEX, repo=False, reuse=False))
        await daemon.until(quiet)
        last = daemon.feed.state.position
    connection = sqlite3.connect(State(home).log)
    connection.execute("DELETE FROM stored_events WHERE position = ?", (last,))
    connection.commit()
    connection.close()
    async with serving(home, world) as daemon:
        await daemon.until(quiet)
        told = await daemon.events.VerifyLog(ev.VerifyLogRequest())
        assert [(one.position, one.kind) for one in told.damages] == [(last, ev.DAMAGE_KIND_CUT_OFF)]
        found = (await daemon.system.Diagnose(s.DiagnoseRequest())).findings
        assert [one.severity for one in found if one.subject == "log"] == [s.SEVERITY_ERROR]
