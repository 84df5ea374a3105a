"""Every method over the wire: what it answers, and what it says to a request that is wrong."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.daemon.running import IMAGE, Running, error_of, quiet, refused, serving, whole
from vibespace import errors
from vibespace.daemon import __main__ as composition
from vibespace.engine.fake import FakeEngine
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v

CLAUDE = a.AgentSettings(type=a.AGENT_TYPE_CLAUDE_CODE)
DEMO = "vibespaces/demo"
PRIMARY = f"{DEMO}/agents/claude-1"


def create(name: str = "demo", **more: Any) -> v.CreateVibespaceRequest:
    fields: dict[str, Any] = {"vibespace_id": name, "agent": CLAUDE} | more
    return v.CreateVibespaceRequest(**fields)


@pytest.fixture
async def demo(daemon: Running) -> Running:
    """With a vibespace `demo` that runs."""
    await daemon.vibespaces.CreateVibespace(create())
    await daemon.until(quiet)
    return daemon


async def test_a_vibespaces_life(daemon: Running) -> None:
    """create, get, list, update, stop, start and delete, each answered with the resource and a cursor."""
    api = daemon.vibespaces
    created = await api.CreateVibespace(create(spec=v.VibespaceSpec(cpu="500m"), agent_id="boss"))
    assert (created.vibespace.name, created.vibespace.vibespace_id) == (DEMO, "demo")
    assert created.vibespace.status.state == v.VIBESPACE_STATE_STARTING
    assert created.vibespace.spec == v.VibespaceSpec(cpu="500m")
    assert created.vibespace.data_uid == created.vibespace.uid
    assert created.cursor.position == created.vibespace.position
    await daemon.until(quiet)
    got = await api.GetVibespace(v.GetVibespaceRequest(name=DEMO))
    assert got.vibespace.status.state == v.VIBESPACE_STATE_RUNNING
    assert [(agent.agent_id, agent.primary, agent.status.image) for agent in got.agents] == [("boss", True, IMAGE)]
    listed = await api.ListVibespaces(v.ListVibespacesRequest())
    got.vibespace.status.ClearField("usage")  # which a list tells only when asked
    assert (list(listed.vibespaces), listed.next_page_token) == ([got.vibespace], "")
    update = v.UpdateVibespaceRequest(vibespace=v.Vibespace(name=DEMO, spec=v.VibespaceSpec(memory_limit="1Gi")))
    update.update_mask.paths.extend(["spec.cpu", "spec.memory_limit"])
    updated = await api.UpdateVibespace(update)
    assert updated.vibespace.spec == v.VibespaceSpec(memory_limit="1Gi")
    assert updated.vibespace.generation == 2
    stopped = await api.StopVibespace(v.StopVibespaceRequest(name=DEMO))
    assert stopped.vibespace.intent == a.RUN_INTENT_STOP
    await daemon.until(quiet)
    started = await api.StartVibespace(v.StartVibespaceRequest(name=DEMO))
    assert started.vibespace.status.state == v.VIBESPACE_STATE_STARTING
    deleted = await api.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO))
    assert deleted.vibespace.status.state == v.VIBESPACE_STATE_DELETING
    await daemon.until(lambda feed: not feed.state.vibespaces)
    assert (await refused(api.GetVibespace(v.GetVibespaceRequest(name=DEMO)))).reason == "VIBESPACE_NOT_FOUND"


async def test_an_agents_life(demo: Running) -> None:
    """create, get, list, stop, start and delete; the number in a name is never used again."""
    api = demo.agents
    created = await api.CreateAgent(a.CreateAgentRequest(parent=DEMO))
    assert (created.agent.agent_id, created.agent.settings.type) == ("claude-2", a.AGENT_TYPE_CLAUDE_CODE)
    assert not created.agent.primary
    await demo.until(quiet)
    name = created.agent.name
    got = await api.GetAgent(a.GetAgentRequest(name=name))
    assert got.agent.status.state == a.AGENT_STATE_RUNNING
    for parent in (DEMO, "vibespaces/-", ""):
        listed = await api.ListAgents(a.ListAgentsRequest(parent=parent))
        assert [agent.agent_id for agent in listed.agents] == ["claude-1", "claude-2"]
    stopped = await api.StopAgent(a.StopAgentRequest(name=name))
    assert (stopped.agent.intent, stopped.agent.generation) == (a.RUN_INTENT_STOP, 2)
    await demo.until(quiet)
    assert (await api.GetAgent(a.GetAgentRequest(name=name))).agent.status.state == a.AGENT_STATE_STOPPED
    await api.StartAgent(a.StartAgentRequest(name=name))
    deleted = await api.DeleteAgent(a.DeleteAgentRequest(name=name))
    assert deleted.agent.status.state == a.AGENT_STATE_DELETING
    await demo.until(lambda feed: len(list(feed.state.agents())) == 1)
    again = await api.CreateAgent(a.CreateAgentRequest(parent=DEMO, settings=a.AgentSettings(type=a.AGENT_TYPE_CODEX)))
    assert again.agent.agent_id == "codex-1"
    third = await api.CreateAgent(a.CreateAgentRequest(parent=DEMO))
    assert third.agent.agent_id == "claude-3"


async def test_a_command_runs_in_an_agents_home(demo: Running) -> None:
    """Exec streams input in and output out, and ends with the exit code."""
    start = a.ExecStart(name=PRIMARY, command=["sh", "-c", "cat; echo oops >&2; exit 3"])

    async def requests() -> AsyncIterator[a.ExecRequest]:
        yield a.ExecRequest(start=start)
        yield a.ExecRequest(stdin=b"a\x00b\xff")

    out, err, ended = b"", b"", None
    async for response in demo.agents.Exec(requests()):
        out, err = out + response.stdout, err + response.stderr
        ended = response.exit if response.HasField("exit") else ended
    assert (out, err, ended) == (b"a\x00b\xff", b"oops\n", a.ExecExit(code=3))


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


async def test_the_daemon_tells_about_itself(demo: Running, home: Path) -> None:
    """Status counts what there is, version names the API, and diagnosis finds that engine and log are well, and the
    engine in memory is no Podman."""
    status = await demo.system.GetStatus(s.GetStatusRequest())
    assert (status.vibespaces, status.agents, status.agents_running) == (1, 1, 1)
    assert status.daemon.home == str(home)
    assert (status.host.initialized, status.host.engine_reachable, status.host.engine.brand) == (True, True, "fake")
    assert status.cursor.position == demo.feed.state.position
    assert (await demo.system.GetVersion(s.GetVersionRequest())).api == "vibespace.v1"
    findings = (await demo.system.Diagnose(s.DiagnoseRequest())).findings
    assert [(f.subject, f.severity) for f in findings] == [
        ("guard", s.SEVERITY_WARNING),
        ("engine", s.SEVERITY_OK),
        ("log", s.SEVERITY_OK),
    ]


async def test_diagnosis_finds_leftovers_and_deletes_nothing(demo: Running, world: World) -> None:
    """An object of ours that nothing accounts for is a warning with its name, and stays."""
    [(kind, name)] = [key for key in world.things if key[0] == "container"]
    stray = world.things[kind, name]
    world.put("volume", "vibespace-stray", type(stray)(stray.log_id, "nobody-there"))
    findings = (await demo.system.Diagnose(s.DiagnoseRequest())).findings
    assert [(f.severity, f.subject) for f in findings] == [
        (s.SEVERITY_WARNING, "volume vibespace-stray"),
        (s.SEVERITY_WARNING, "guard"),
        (s.SEVERITY_OK, "engine"),
        (s.SEVERITY_OK, "log"),
    ]
    assert ("volume", "vibespace-stray") in world.things


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
    "repository": (spec(repo="project"), errors.InvalidArgument, "REPOSITORY_INVALID", "spec.repo"),
    "password": (
        spec(repo="https://me:secret@example.org/p.git"),
        errors.InvalidArgument,
        "REPOSITORY_HAS_PASSWORD",
        "spec.repo",
    ),
    "branch": (spec(repo="/p", branch="-x"), errors.InvalidArgument, "BRANCH_INVALID", "spec.branch"),
    "branch alone": (spec(branch="main"), errors.InvalidArgument, "BRANCH_WITHOUT_REPO", "spec.branch"),
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
        lambda d: d.agents.CreateAgent(
            a.CreateAgentRequest.FromString(a.CreateAgentRequest(parent=DEMO).SerializeToString() + b"\x1a\x02\x08\x63")
        ),
        errors.InvalidArgument,
        "AGENT_TYPE_UNKNOWN",
        "agent.type",
    ),
    "the primary": (
        lambda d: d.agents.DeleteAgent(a.DeleteAgentRequest(name=PRIMARY)),
        errors.FailedPrecondition,
        "AGENT_IS_PRIMARY",
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


async def test_lists_come_in_pages(daemon: Running) -> None:
    """Pages of one, two and more, put together, are the whole list, although something was added meanwhile."""
    for name in ("a", "c", "e", "g"):
        await daemon.vibespaces.CreateVibespace(create(name))
    for size in (1, 2, 3, 4, 9):
        names: list[str] = []
        token = ""
        while True:
            page = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_size=size, page_token=token))
            names += [one.vibespace_id for one in page.vibespaces]
            assert len(page.vibespaces) <= size
            if not (token := page.next_page_token):
                break
        assert names == ["a", "c", "e", "g"]
    first = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_size=2))
    await daemon.vibespaces.CreateVibespace(create("b"))
    await daemon.vibespaces.CreateVibespace(create("d"))
    rest = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(page_token=first.next_page_token))
    assert [one.vibespace_id for one in rest.vibespaces] == ["d", "e", "g"]
    agents = await daemon.agents.ListAgents(a.ListAgentsRequest(page_size=4))
    more = await daemon.agents.ListAgents(a.ListAgentsRequest(page_token=agents.next_page_token))
    assert [agent.vibespace_id for agent in [*agents.agents, *more.agents]] == ["a", "b", "c", "d", "e", "g"]


async def test_a_dry_run_changes_nothing(demo: Running) -> None:
    """validate_only answers with what would go, refuses what would be refused, and records nothing."""
    await demo.agents.CreateAgent(a.CreateAgentRequest(parent=DEMO))
    await demo.until(quiet)
    before = demo.feed.state.position
    told = await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, validate_only=True))
    assert told.vibespace.status.state == v.VIBESPACE_STATE_RUNNING
    second = f"{DEMO}/agents/claude-2"
    agent = await demo.agents.DeleteAgent(a.DeleteAgentRequest(name=second, validate_only=True))
    assert agent.agent.name == second
    primary = demo.agents.DeleteAgent(a.DeleteAgentRequest(name=PRIMARY, validate_only=True))
    assert (await refused(primary)).reason == "AGENT_IS_PRIMARY"
    gone = demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name="vibespaces/x", validate_only=True))
    assert (await refused(gone)).reason == "VIBESPACE_NOT_FOUND"
    assert demo.feed.state.position == before


async def test_a_repeat_gets_the_resource_as_it_is_now(demo: Running) -> None:
    """The same request_id again: the first cursor, the resource as it is now, also when it is gone by now."""
    first = await demo.vibespaces.CreateVibespace(create("other", request_id="once"))
    await demo.until(quiet)
    again = await demo.vibespaces.CreateVibespace(create("other", request_id="once"))
    assert (again.cursor, again.vibespace.uid) == (first.cursor, first.vibespace.uid)
    assert again.vibespace.status.state == v.VIBESPACE_STATE_RUNNING
    await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name="vibespaces/other"))
    await demo.until(lambda feed: "other" not in feed.state.vibespaces)
    late = await demo.vibespaces.CreateVibespace(create("other", request_id="once"))
    assert (late.cursor, late.vibespace.uid) == (first.cursor, first.vibespace.uid)
    assert late.vibespace.status.state == v.VIBESPACE_STATE_DELETING
    other = await refused(demo.vibespaces.CreateVibespace(create("another", request_id="once")))
    assert (other.reason, other.field) == ("REQUEST_ID_REUSED", "request_id")


async def test_data_that_was_kept_is_taken_over_by_name(demo: Running) -> None:
    """After delete --keep-data the name asks for --reuse-data, and then has the same data_uid again."""
    before = (await demo.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))).vibespace
    await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, keep_data=True))
    await demo.until(lambda feed: not feed.state.vibespaces)
    assert (await refused(demo.vibespaces.CreateVibespace(create()))).reason == "DATA_KEPT"
    after = (await demo.vibespaces.CreateVibespace(create(reuse_data=True))).vibespace
    assert (after.data_uid, after.uid == before.uid) == (before.data_uid, False)


async def test_a_defect_is_told_without_its_inside(demo: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks in a method is INTERNAL with one sentence; no traceback leaves the daemon."""
    monkeypatch.setattr(type(demo.feed.state), "vibespace", lambda *_: 1 / 0)
    error = await refused(demo.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO)))
    assert (type(error), error.reason) == (errors.Internal, "INTERNAL")
    assert "division" not in f"{error.message}{error.hint}"


async def test_health_and_reflection_answer(daemon: Running) -> None:
    """Health says SERVING for the whole and for each service; reflection lists them."""
    health = health_pb2_grpc.HealthStub(daemon.channel)
    services = [f"vibespace.v1.{noun}Service" for noun in ("Agent", "Event", "System", "Vibespace")]
    for name in ("", *services):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(daemon.channel)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    [answer] = [response async for response in stub.ServerReflectionInfo(iter(requests))]
    assert {service.name for service in answer.list_services_response.service} >= set(services)


async def test_another_image_is_taken_at_the_next_start(demo: Running) -> None:
    """After a newer image was recorded an agent shows both, until it has started again."""
    engine = s.HostEngine(brand="fake", version="1", address="memory")
    await demo.system.Initialize(s.InitializeRequest(engine=engine, image="a-newer-image"))
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
        engine = s.HostEngine(brand="fake", version="1", address="memory", rootless=True)
        await daemon.system.Initialize(s.InitializeRequest(engine=engine, image=IMAGE))
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
    found = await daemon.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))
    assert found.vibespace.spec.allow == ["10.0.0.0/8:80"]
    assert (found.guard.held, "the engine is fake" in found.guard.reason) == (False, True)


async def test_limits_and_usage(daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each limit that was asked for says whether it holds, and why not; what runs says what it uses, when asked."""
    asked = v.VibespaceSpec(cpu_limit="2", memory_limit="1Gi", storage="20Gi")
    await daemon.vibespaces.CreateVibespace(create(spec=asked))
    await daemon.until(quiet)
    got = await daemon.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))
    assert [(limit.setting, limit.asked, limit.enforced) for limit in got.limits] == [
        ("cpu_limit", "2", True),
        ("memory_limit", "1Gi", True),
        ("storage", "20Gi", False),
    ]
    assert "quota" in got.limits[2].reason
    assert got.agents[0].status.usage == got.vibespace.status.usage != a.Usage()
    listed = [
        (await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest(usage=usage))).vibespaces[0]
        for usage in (False, True)
    ]
    assert [found.status.HasField("usage") for found in listed] == [False, True]
    assert (await daemon.agents.GetAgent(a.GetAgentRequest(name=PRIMARY))).agent.status.usage.processes > 0
    monkeypatch.setattr(FakeEngine, "enforced", lambda _: _nothing_holds())
    got = await daemon.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))
    assert [limit.enforced for limit in got.limits] == [False] * 3
    assert all(limit.reason for limit in got.limits)


async def _nothing_holds() -> frozenset[str]:
    return frozenset()


async def test_an_engine_that_is_away_is_no_reason_not_to_answer(demo: Running, world: World) -> None:
    """`info` and `list --usage` answer without what only the engine knows."""
    world.set_reachable(False)
    got = await demo.vibespaces.GetVibespace(v.GetVibespaceRequest(name=DEMO))
    assert not got.agents[0].status.HasField("usage")
    await demo.vibespaces.ListVibespaces(v.ListVibespacesRequest(usage=True))
