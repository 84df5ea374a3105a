"""What methods refuse, each in one sentence with its reason, and how that goes over the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.daemon.running import DEMO, IMAGE, PRIMARY, Running, create, error_of, quiet, refused, serving, whole
from tests.domain import things
from vibespace import errors
from vibespace.daemon.reaching import not_running
from vibespace.domain.states import State
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v


async def test_exec_in_an_agent_at_rest_says_so(demo: Running) -> None:
    """An agent that is stopped, or not there, is a reason and a hint, not a wait."""
    await demo.vibespaces.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    await demo.until(quiet)

    async def call(name: str) -> None:
        requests = [a.ExecRequest(start=a.ExecStart(name=name, command=["true"]))]
        async for _ in demo.agents.Exec(iter(requests)):
            pass

    error = await refused(call(PRIMARY))
    assert (error.reason, bool(error.hint)) == ("AGENT_NOT_RUNNING", True)
    assert error.metadata == {"agent": "claude-1", "vibespace": "demo"}
    assert (await refused(call(f"{DEMO}/agents/nobody"))).reason == "AGENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("condition", "resting", "hint"),
    [
        (State.STOPPED, False, "'vibespace start demo' brings it back."),
        (State.STOPPED, True, "'vibespace start' brings it back."),
        (State.DELETING, False, "'vibespace agent info claude-1@demo' shows how far that is."),
        (State.DELETING, True, "'vibespace agent info claude-1@demo' shows how far that is."),
        (
            State.FAILED,
            False,
            "It is started again by itself; 'vibespace agent start claude-1@demo' does not wait for that.",
        ),
        (State.STARTING, False, "That goes on by itself."),
    ],
)
def test_what_brings_an_agent_back(condition: State, resting: bool, hint: str) -> None:
    """Nothing does once it is being deleted; what should run comes by itself."""
    assert not_running(things.new_agent(), condition, resting, "").hint == hint


async def test_dial_refuses_what_is_no_port(demo: Running) -> None:
    """A stream that names no port from 1 to 65535 is refused with the field."""

    async def call(request: a.DialRequest) -> None:
        async for _ in demo.agents.Dial(iter([request])):
            pass

    error = await refused(call(a.DialRequest(name=PRIMARY, port=70000)))
    assert (error.reason, error.field) == ("PORT_INVALID", "port")


async def test_an_upload_that_nobody_waits_for_is_refused(demo: Running) -> None:
    """UploadRepository to a vibespace without a repository says UPLOAD_NOT_AWAITED."""
    requests = [v.UploadRepositoryRequest(name=DEMO, data=b"bundle")]
    error = await refused(demo.vibespaces.UploadRepository(iter(requests)))
    assert error.reason == "UPLOAD_NOT_AWAITED"


async def test_everything_rests_and_comes_back(home: Path, world: World) -> None:
    """Rest stops all and ends the daemon; on the next one nothing starts until Wake brings back what ran."""
    async with serving(home, world) as daemon:
        await daemon.init()
        await daemon.vibespaces.CreateVibespace(create())
        await daemon.until(quiet)
        await daemon.rest()
    assert not [kind for kind, _ in world.things if kind == "container"]
    async with serving(home, world) as daemon:
        assert (await daemon.system.GetStatus(s.GetStatusRequest())).host.resting
        whats = ("'demo' was not started", "No agent of 'demo' was created", "'claude-1' of 'demo' was not started")
        for ask, what in zip((start(DEMO), adding, starting), whats, strict=True):
            error = await refused(ask(daemon))
            assert error.message == f"{what}: everything is at rest since 'vibespace stop'."
        for ask in (making(), start(DEMO), adding, starting):
            error = await refused(ask(daemon))
            assert (error.reason, error.hint) == ("AT_REST", "'vibespace start' brings back what ran.")
        running = a.ExecRequest(start=a.ExecStart(name=PRIMARY, command=["true"]))
        error = await refused(whole(daemon.agents.Exec(iter([running]))))
        assert (error.reason, error.hint) == ("AGENT_NOT_RUNNING", "'vibespace start' brings it back.")
        assert not (await daemon.system.Wake(s.WakeRequest())).host.resting
        await daemon.until(quiet)
        got = await daemon.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))
        assert got.vibespace.status.state == v.VIBESPACE_STATE_RUNNING


async def test_another_engine_cannot_be_chosen(daemon: Running) -> None:
    """A second init with the same engine is quiet; with another one it is ENGINE_CHOSEN."""
    position = daemon.feed.state.position
    await daemon.init()
    assert daemon.feed.state.position == position
    other = s.InitializeRequest(engine=s.HostEngine(brand="docker", address="/run/docker.sock"), image=IMAGE)
    assert (await refused(daemon.system.Initialize(other))).reason == "ENGINE_CHOSEN"


async def test_before_init_only_what_needs_no_engine_answers(home: Path, world: World) -> None:
    """Status, diagnosis, version, stop and init itself; all others are NOT_INITIALIZED, and say what to do."""
    async with serving(home, world) as daemon:
        assert not (await daemon.system.GetStatus(s.GetStatusRequest())).host.initialized
        findings = (await daemon.system.Diagnose(s.DiagnoseRequest())).findings
        assert [(f.subject, f.severity) for f in findings] == [("engine", s.SEVERITY_ERROR), ("log", s.SEVERITY_OK)]
        assert (await daemon.system.GetVersion(s.GetVersionRequest())).version
        calls: list[Any] = [
            daemon.vibespaces.CreateVibespace(create()),
            daemon.vibespaces.GetVibespace(v.GetVibespaceRequest()),
            daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest()),
            daemon.vibespaces.UpdateVibespace(v.UpdateVibespaceRequest()),
            daemon.vibespaces.StartVibespace(v.StartVibespaceRequest()),
            daemon.vibespaces.StopVibespace(v.StopVibespaceRequest()),
            daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest()),
            daemon.vibespaces.UploadRepository(iter([v.UploadRepositoryRequest()])),
            daemon.agents.CreateAgent(a.CreateAgentRequest()),
            daemon.agents.GetAgent(a.GetAgentRequest()),
            daemon.agents.ListAgents(a.ListAgentsRequest()),
            daemon.agents.StartAgent(a.StartAgentRequest()),
            daemon.agents.StopAgent(a.StopAgentRequest()),
            daemon.agents.DeleteAgent(a.DeleteAgentRequest()),
            daemon.agents.GetAgentSettings(a.GetAgentSettingsRequest()),
            daemon.agents.UpdateAgent(a.UpdateAgentRequest()),
            whole(daemon.agents.Exec(iter([a.ExecRequest()]))),
            whole(daemon.agents.Dial(iter([a.DialRequest()]))),
            daemon.events.Replay(ev.ReplayRequest()),
            daemon.events.VerifyLog(ev.VerifyLogRequest()),
            whole(daemon.events.Watch(ev.WatchRequest())),
            whole(daemon.events.StreamEvents(ev.StreamEventsRequest())),
            daemon.system.Wake(s.WakeRequest()),
        ]
        for call in calls:
            error = await refused(call)
            assert (error.reason, error.hint) == ("NOT_INITIALIZED", "Run 'vibespace init'.")
        await daemon.init()
        await daemon.vibespaces.CreateVibespace(create())


def start(name: str) -> Callable[[Running], Any]:
    return lambda d: d.vibespaces.StartVibespace(v.StartVibespaceRequest(name=name))


def adding(daemon: Running) -> Any:
    return daemon.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO))


def starting(daemon: Running) -> Any:
    return daemon.agents.StartAgent(a.StartAgentRequest(name=PRIMARY))


def making(**more: Any) -> Callable[[Running], Any]:
    return lambda d: d.vibespaces.CreateVibespace(create(**{"name": "new"} | more))


def spec(**values: Any) -> Callable[[Running], Any]:
    return making(spec=v.VibespaceSpec(**values))


def setting(field: str, **values: Any) -> Callable[[Running], Any]:
    request = a.UpdateAgentRequest(agent=a.Agent(name=PRIMARY, settings=a.AgentSettings(**values)))
    request.update_mask.paths.append(f"settings.{field}")
    return lambda d: d.agents.UpdateAgent(request)


def unknown(request: Any, field: bytes) -> Any:
    """`request` with a field that says 99, where no value of the enum has that number."""
    return type(request).FromString(request.SerializeToString() + field)


WRONG: dict[str, tuple[Callable[[Running], Any], type[errors.Error], str, str]] = {
    "empty name": (making(name=""), errors.InvalidArgument, "NAME_INVALID", "vibespace_id"),
    "path-like name": (making(name="../etc"), errors.InvalidArgument, "NAME_INVALID", "vibespace_id"),
    "reserved name": (making(name="all"), errors.InvalidArgument, "NAME_RESERVED", "vibespace_id"),
    "taken name": (making(name="demo"), errors.AlreadyExists, "VIBESPACE_EXISTS", "vibespace_id"),
    "agent's name": (making(agent_id="Boss"), errors.InvalidArgument, "NAME_INVALID", "agent_id"),
    "no type": (making(agent=a.AgentSettings()), errors.InvalidArgument, "AGENT_TYPE_UNKNOWN", "agent.type"),
    "cpu": (spec(cpu="10X"), errors.InvalidArgument, "QUANTITY_INVALID", "spec.cpu"),
    "memory": (spec(memory_limit="-1"), errors.InvalidArgument, "QUANTITY_INVALID", "spec.memory_limit"),
    "more than the limit": (spec(cpu="2", cpu_limit="1"), errors.InvalidArgument, "QUANTITY_INVALID", "spec.cpu"),
    "more than the machine has": (
        spec(cpu_limit="16001m"),
        errors.InvalidArgument,
        "QUANTITY_INVALID",
        "spec.cpu_limit",
    ),
    "repository": (spec(repo="project"), errors.InvalidArgument, "REPOSITORY_INVALID", "spec.repo"),
    "password": (
        spec(repo="https://me:secret@example.org/p.git"),
        errors.InvalidArgument,
        "REPOSITORY_HAS_PASSWORD",
        "spec.repo",
    ),
    "branch": (spec(repo="/p", branch="-x"), errors.InvalidArgument, "BRANCH_INVALID", "spec.branch"),
    "branch alone": (spec(branch="main"), errors.InvalidArgument, "BRANCH_WITHOUT_REPO", "spec.branch"),
    "worktrees of nothing": (
        spec(worktree=True),
        errors.InvalidArgument,
        "WORKTREE_WITHOUT_REPO",
        "spec.worktree",
    ),
    "no kept data": (making(reuse_data=True), errors.FailedPrecondition, "NO_KEPT_DATA", "reuse_data"),
    "request_id": (making(request_id="a b"), errors.InvalidArgument, "REQUEST_ID_INVALID", "request_id"),
    "resource name": (start("demo"), errors.InvalidArgument, "RESOURCE_NAME_INVALID", "name"),
    "nobody": (start("vibespaces/nobody"), errors.NotFound, "VIBESPACE_NOT_FOUND", ""),
    "no mask": (
        lambda d: d.vibespaces.UpdateVibespace(v.UpdateVibespaceRequest(vibespace=v.Vibespace(name=DEMO))),
        errors.InvalidArgument,
        "UPDATE_MASK_MISSING",
        "update_mask",
    ),
    "page size": (
        lambda d: d.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_size=-1)),
        errors.InvalidArgument,
        "PAGE_SIZE_INVALID",
        "page_size",
    ),
    "page token": (
        lambda d: d.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_token="!!!!")),
        errors.InvalidArgument,
        "PAGE_TOKEN_INVALID",
        "page_token",
    ),
    "agent of nobody": (
        lambda d: d.agents.CreateAgent(a.CreateAgentRequest(parent="vibespaces/nobody")),
        errors.NotFound,
        "VIBESPACE_NOT_FOUND",
        "",
    ),
    "agent's resource name": (
        lambda d: d.agents.GetAgent(a.GetAgentRequest(name=DEMO)),
        errors.InvalidArgument,
        "RESOURCE_NAME_INVALID",
        "name",
    ),
    "taken agent's name": (
        lambda d: d.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO, agent_id="claude-1")),
        errors.AlreadyExists,
        "AGENT_EXISTS",
        "agent_id",
    ),
    "unknown type": (
        lambda d: d.agents.CreateAgent(unknown(a.CreateAgentRequest(parent=DEMO), b"\x1a\x02\x08\x63")),
        errors.InvalidArgument,
        "VALUE_UNKNOWN",
        "settings.type",
    ),
    "unknown network": (
        lambda d: d.vibespaces.CreateVibespace(unknown(create(name="new"), b"\x12\x02\x48\x63")),
        errors.InvalidArgument,
        "VALUE_UNKNOWN",
        "spec.network",
    ),
    "no network": (spec(network=v.NETWORK_UNSPECIFIED), errors.InvalidArgument, "NETWORK_UNKNOWN", "spec.network"),
    "a closed network and a URL": (
        spec(network=v.NETWORK_NONE, repo="https://example.org/shop.git"),
        errors.InvalidArgument,
        "REPOSITORY_OUT_OF_REACH",
        "spec.repo",
    ),
    "unknown view": (
        lambda d: d.vibespaces.GetVibespace(unknown(v.GetVibespaceRequest(name=DEMO), b"\x10\x63")),
        errors.InvalidArgument,
        "VALUE_UNKNOWN",
        "view",
    ),
    "unknown view of an agent": (
        lambda d: d.agents.GetAgent(unknown(a.GetAgentRequest(name=PRIMARY), b"\x10\x63")),
        errors.InvalidArgument,
        "VALUE_UNKNOWN",
        "view",
    ),
    "the primary": (
        lambda d: d.agents.DeleteAgent(a.DeleteAgentRequest(name=PRIMARY)),
        errors.FailedPrecondition,
        "AGENT_IS_PRIMARY",
        "",
    ),
    "no field of an agent": (
        lambda d: d.agents.UpdateAgent(a.UpdateAgentRequest(agent=a.Agent(name=PRIMARY))),
        errors.InvalidArgument,
        "UPDATE_MASK_MISSING",
        "update_mask",
    ),
    "an agent's type": (setting("type"), errors.InvalidArgument, "FIELD_IMMUTABLE", "update_mask"),
    "an agent's environment": (
        setting("env", env=["TOKEN=secret"]),
        errors.InvalidArgument,
        "FIELD_IMMUTABLE",
        "update_mask",
    ),
    "no turns": (
        setting("max_turns", max_turns=-1),
        errors.InvalidArgument,
        "MAX_TURNS_INVALID",
        "agent.settings.max_turns",
    ),
    "settings of nobody": (
        lambda d: d.agents.GetAgentSettings(a.GetAgentSettingsRequest(name=f"{DEMO}/agents/nobody")),
        errors.NotFound,
        "AGENT_NOT_FOUND",
        "",
    ),
    "empty engine": (
        lambda d: d.system.Initialize(s.InitializeRequest()),
        errors.InvalidArgument,
        "ENGINE_INVALID",
        "engine",
    ),
}


async def test_what_is_wrong_is_one_sentence_with_reason_and_field(demo: Running) -> None:
    """Each wrong request is refused with its kind, its reason and the field at fault, and records nothing."""
    before = demo.feed.state.position
    for what, (ask, kind, reason, field) in WRONG.items():
        error = await refused(ask(demo))
        assert (type(error), error.reason, error.field) == (kind, reason, field), what
        assert "\n" not in error.message, what
        assert "secret" not in f"{error.message}{error.hint}{error.metadata}", what
        assert re.search(r"[.!]$", error.message), what
    assert demo.feed.state.position == before


async def test_more_processors_than_there_are_are_refused_in_a_change_too(demo: Running, world: World) -> None:
    """Also in an update; where the engine cannot be asked, the agent is what tells it."""
    world.processors = 2
    request = v.UpdateVibespaceRequest(vibespace=v.Vibespace(name=DEMO, spec=v.VibespaceSpec(cpu_limit="3")))
    request.update_mask.paths.append("spec.cpu_limit")
    error = await refused(demo.vibespaces.UpdateVibespace(request))
    assert (type(error), error.field) == (errors.InvalidArgument, "spec.cpu_limit")
    assert error.message == "3 is more than the 2 processors of the engine's machine."
    world.set_reachable(False)
    await demo.vibespaces.UpdateVibespace(request)
    world.set_reachable(True)
    await demo.until(lambda feed: "only 2" in feed.state.primary("demo").reason)


async def test_a_field_that_cannot_change_is_refused(demo: Running) -> None:
    """An update of anything but limits is FIELD_IMMUTABLE."""
    request = v.UpdateVibespaceRequest(vibespace=v.Vibespace(name=DEMO, spec=v.VibespaceSpec(repo="/p")))
    request.update_mask.paths.append("spec.repo")
    error = await refused(demo.vibespaces.UpdateVibespace(request))
    assert (error.reason, error.field) == ("FIELD_IMMUTABLE", "update_mask")


async def test_errors_go_over_the_wire_as_google_writes_them(demo: Running) -> None:
    """The status carries ErrorInfo with reason, domain and metadata, and BadRequest with the field (AIP-193)."""
    with pytest.raises(grpc.aio.AioRpcError) as e:
        await demo.vibespaces.CreateVibespace(create())
    assert e.value.code() == grpc.StatusCode.ALREADY_EXISTS
    trailing = dict(e.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "VIBESPACE_EXISTS",
        "vibespace",
        {"vibespace": "demo", "hint": "'vibespace info demo' shows it."},
    )
    assert bad.field_violations[0].field == "vibespace_id"
    assert status.message == error_of(e.value).message


async def test_a_defect_is_told_without_its_inside(demo: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks in a method is INTERNAL with one sentence; no traceback leaves the daemon."""
    monkeypatch.setattr(type(demo.feed.state), "vibespace", lambda *_: 1 / 0)
    error = await refused(demo.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO)))
    assert (type(error), error.reason) == (errors.Internal, "INTERNAL")
    assert "division" not in f"{error.message}{error.hint}"
