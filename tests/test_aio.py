"""The asynchronous client: every method, our own errors, and streams that outlive a daemon."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.hosts import FAKE_ENGINE
from vibespace import launch
from vibespace.aio import Client, fold
from vibespace.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from vibespace.state import State
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.cursor_pb2 import Cursor

CODEX = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
DEMO = "vibespaces/demo"
RUNNING = a.AGENT_STATE_RUNNING


def create(name: str = "demo") -> v.CreateVibespaceRequest:
    return v.CreateVibespaceRequest(vibespace_id=name, agent=CODEX)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """On a state directory of its own, with the engine in memory; the daemon is not there yet."""
    home = Path(tempfile.mkdtemp(prefix="vs-"))
    monkeypatch.setenv("VIBESPACE_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(launch.__file__).parent.parent))
    async with Client() as made:
        yield made
    await end(home, signal.SIGTERM)
    shutil.rmtree(home)


async def end(home: Path, how: signal.Signals) -> None:
    """End the daemon, if one runs."""
    state = State(home)
    if state.lock.exists() and launch.answers(state.socket):
        os.kill(int(state.lock.read_text()), how)
    await asyncio.to_thread(launch.wait_until_ended, state)


@pytest.fixture
def home(client: Client) -> Path:
    return Path(os.environ["VIBESPACE_HOME"])


async def init(client: Client) -> None:
    await client.system.Initialize(s.InitializeRequest(engine=FAKE_ENGINE, image="i"))


async def test_a_call_starts_the_daemon_and_raises_what_it_raises(client: Client) -> None:
    """Nothing runs; calls are answered all the same, and refusals are the errors that the daemon raised."""
    with pytest.raises(FailedPrecondition, match="not ready"):
        await client.vibespaces.CreateVibespace(create())
    await init(client)
    accepted = await client.vibespaces.CreateVibespace(create())
    assert accepted.vibespace.name == DEMO
    with pytest.raises(NotFound) as refused:
        await client.vibespaces.GetVibespace(v.GetVibespaceRequest(name="vibespaces/other"))
    assert refused.value.reason == "VIBESPACE_NOT_FOUND"
    with pytest.raises(InvalidArgument) as wrong:
        await client.vibespaces.CreateVibespace(create("NO"))
    assert wrong.value.field == "vibespace_id"


async def test_streams_raise_our_errors_too(client: Client) -> None:
    """The stubs' own streams are iterated like any other, in both directions."""
    await init(client)
    with pytest.raises(InvalidArgument):
        async for _ in client.events.Watch(ev.WatchRequest(parent="demo")):
            pass

    async def nobody() -> AsyncIterator[a.ExecRequest]:
        yield a.ExecRequest(start=a.ExecStart(name=f"{DEMO}/agents/codex-1", command=["true"]))

    with pytest.raises(NotFound):
        async for _ in client.agents.Exec(nobody()):
            pass

    async def nothing() -> AsyncIterator[v.UploadRepositoryRequest]:
        yield v.UploadRepositoryRequest(name=DEMO)

    with pytest.raises(NotFound):
        await client.vibespaces.UploadRepository(nothing())


async def test_without_start_nothing_is_started(client: Client, home: Path) -> None:
    """Who only looks on is told that nothing runs."""
    async with Client(home, start=False) as looker:
        with pytest.raises(Unavailable) as refused:
            await looker.system.GetStatus(s.GetStatusRequest())
        assert refused.value.reason == "DAEMON_NOT_RUNNING"
        assert os.listdir(home) == []
        await client.system.GetStatus(s.GetStatusRequest())
        assert (await looker.system.GetStatus(s.GetStatusRequest())).daemon.home == str(home)


async def test_a_lost_answer_is_asked_for_again_under_the_same_request_id(client: Client, home: Path) -> None:
    """The daemon is killed amid calls: each of them is answered, and has happened once."""
    await init(client)
    names = [f"v{n}" for n in range(40)]
    creating = asyncio.gather(*(client.vibespaces.CreateVibespace(create(name)) for name in names))
    async for _ in client.follow(type="vibespace.created"):
        break
    await end(home, signal.SIGKILL)
    answers = await creating
    assert [answer.vibespace.vibespace_id for answer in answers] == names
    listed = await client.vibespaces.ListVibespaces(v.ListVibespacesRequest())
    assert sorted(one.vibespace_id for one in listed.vibespaces) == sorted(names)


async def test_what_a_caller_gives_is_not_written_to(client: Client) -> None:
    """The request_id that is made up is not left in the caller's request, which can be sent again as a new one."""
    await init(client)
    request = create()
    await client.vibespaces.CreateVibespace(request)
    assert request == create()


async def test_a_deadline_is_ours_too(client: Client) -> None:
    """What gRPC itself gives up is an error of the same family."""
    await init(client)
    with pytest.raises(DeadlineExceeded):
        async for _ in client.events.StreamEvents(ev.StreamEventsRequest(follow=True), timeout=0.2):
            pass


async def test_a_watch_goes_on_with_the_next_daemon(client: Client, home: Path) -> None:
    """What is known is what is there, before and after a daemon that was killed; nothing is forgotten or made up."""
    await init(client)
    known: dict[str, v.Vibespace | a.Agent] = {}
    killed = False
    await client.vibespaces.CreateVibespace(create())
    async with aclosing(client.watch()) as responses:
        async for response in responses:
            fold(known, response)
            running = [one for one in known.values() if isinstance(one, a.Agent) and one.status.state == RUNNING]
            if len(running) == 1 and not killed:
                killed = True
                await end(home, signal.SIGKILL)
                await client.vibespaces.CreateVibespace(create("other"))
                await client.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name=DEMO))
            if set(known) == {"vibespaces/other", "vibespaces/other/agents/codex-1"} and running:
                break
    assert killed


async def test_a_watch_of_one_vibespace_from_a_cursor(client: Client) -> None:
    """After a mutation's cursor only what changed since is told, and only of that vibespace."""
    await init(client)
    await client.vibespaces.CreateVibespace(create("other"))
    accepted = await client.vibespaces.CreateVibespace(create())
    async for response in client.watch(DEMO, accepted.cursor):
        names = {change.vibespace.name or change.agent.name for change in response.changes}
        assert names <= {DEMO, f"{DEMO}/agents/codex-1"}
        if any(change.agent.status.state == RUNNING for change in response.changes):
            break


async def test_events_come_once_and_in_order_across_daemons(client: Client, home: Path) -> None:
    """Each position once, from the first on, through three daemons."""
    await init(client)
    positions: list[int] = []
    last = 0
    async for event in client.follow():
        positions.append(event.cursor.position)
        if event.type == "agent.created" and len(positions) > 1 and last < 3:
            last += 1
            await end(home, [signal.SIGKILL, signal.SIGTERM][last % 2])
            await client.vibespaces.CreateVibespace(create(f"v{last}"))
        elif event.type == "host.initialized":
            await client.vibespaces.CreateVibespace(create())
        if event.subject == "vibespaces/v3":
            break
    assert positions == list(range(1, len(positions) + 1))


async def test_what_is_resumed_does_not_undo_a_stop(client: Client, home: Path) -> None:
    """Where no daemon is started either, the reason is told, not that there is none."""
    await init(client)
    await client.system.Rest(s.RestRequest())
    await asyncio.to_thread(launch.wait_until_ended, State(home))
    for start in (True, False):
        async with Client(start=start) as other:
            with pytest.raises(FailedPrecondition) as refused:
                await anext(aiter(other.events.Watch(ev.WatchRequest(resumed=True))))
            assert refused.value.reason == "AT_REST"
    assert not launch.answers(State(home).socket)


async def test_another_history_is_told(client: Client, home: Path) -> None:
    """When the log that a stream was following is replaced, its reader is told, and may begin anew."""
    await init(client)
    with pytest.raises(FailedPrecondition) as foreign:
        await anext(client.follow(Cursor(log_id="another", position=1)))
    assert foreign.value.reason == "LOG_CHANGED"
    watching = client.watch()
    await anext(watching)
    await end(home, signal.SIGKILL)
    for name in os.listdir(home):
        if name.startswith("events.db"):
            os.unlink(home / name)
    await client.system.GetStatus(s.GetStatusRequest())
    await init(client)
    with pytest.raises(FailedPrecondition) as replaced:
        async for _ in watching:
            pass
    assert replaced.value.reason == "LOG_CHANGED"
    async for response in client.watch():
        assert response.snapshot
        break
