"""Every method over the wire: what it answers, over the life of a vibespace, an agent and a daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.daemon.running import DEMO, IMAGE, PRIMARY, Running, create, quiet, refused
from vibespace.engine.fake_world import World
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v


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
    world.put("volume", "vibespace-stray", type(stray)(stray.log_id, "nobody-there", vibespace="older"))
    findings = (await demo.system.Diagnose(s.DiagnoseRequest())).findings
    assert findings[0].message.startswith("It was made for vibespace 'older'")
    assert [(f.severity, f.subject) for f in findings] == [
        (s.SEVERITY_WARNING, "volume vibespace-stray"),
        (s.SEVERITY_WARNING, "guard"),
        (s.SEVERITY_OK, "engine"),
        (s.SEVERITY_OK, "log"),
    ]
    assert ("volume", "vibespace-stray") in world.things


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
    rehearsed = [
        await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, keep_data=k, validate_only=True))
        for k in (True, False)
    ]
    assert [response.data_kept for response in rehearsed] == [True, False]
    deleted = await demo.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO, keep_data=True))
    assert deleted.data_kept
    await demo.until(lambda feed: not feed.state.vibespaces)
    assert (await refused(demo.vibespaces.CreateVibespace(create()))).reason == "DATA_KEPT"
    assert (await demo.system.GetStatus(s.GetStatusRequest())).kept == ["demo"]
    found = [f for f in (await demo.system.Diagnose(s.DiagnoseRequest())).findings if "demo" in f.subject]
    assert [(f.severity, f.subject, f.message) for f in found] == [
        (s.SEVERITY_OK, "data of demo", "Kept by 'delete --keep-data', 0 B.")
    ]
    after = (await demo.vibespaces.CreateVibespace(create(reuse_data=True))).vibespace
    assert (after.data_uid, after.uid == before.uid) == (before.data_uid, False)
    assert (await demo.system.GetStatus(s.GetStatusRequest())).kept == []


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
