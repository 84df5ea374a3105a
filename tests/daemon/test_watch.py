"""Watch: all as it is now, and every change after."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from tests.app.house import House, add, agent_deleted, create, delete, deleted, start, stop
from tests.daemon.running import CONTEXT, Running, here, refused, whole
from vibespace.app import host
from vibespace.app.writer import Request
from vibespace.daemon.events import EventServicer
from vibespace.errors import FailedPrecondition
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.cursor_pb2 import Cursor


def told(response: ev.WatchResponse) -> list[str]:
    """Names of what a message is about; `-` before what is gone."""
    changes = response.changes
    return [f"-{c.deleted}" if c.deleted else c.vibespace.name or c.agent.name for c in changes]


def agent(name: str, of: str) -> str:
    return f"vibespaces/{of}/agents/{name}"


async def test_everything_comes_first_then_every_change(house: House, servicer: EventServicer) -> None:
    """The first message is a snapshot with its cursor; after it come changes alone, each with the place it is of."""
    await house.ask(create())
    watch = servicer.Watch(ev.WatchRequest(), CONTEXT)
    first = await anext(watch)
    assert (told(first), first.snapshot, first.caught_up) == (
        [agent("claude-1", "demo"), "vibespaces/demo"],
        True,
        True,
    )
    assert first.cursor == here(house)
    await house.ask(stop())
    second = await anext(watch)
    assert (told(second), second.snapshot, second.caught_up) == (["vibespaces/demo"], False, False)
    assert second.cursor == here(house)
    assert second.changes[0].vibespace.intent == a.RUN_INTENT_STOP


async def test_changes_are_coalesced_to_the_latest(house: House, servicer: EventServicer) -> None:
    """Whoever reads slowly gets each thing once, as it is when he reads, in the order of the last changes."""
    await house.ask(create("one"))
    await house.ask(create("two"))
    watch = servicer.Watch(ev.WatchRequest(), CONTEXT)
    await anext(watch)
    for _ in range(5):
        await house.ask(stop("two"))
        await house.ask(stop("one"))
        await house.ask(start("one"))
        await house.ask(start("two"))
    late = await anext(watch)
    assert told(late) == ["vibespaces/one", "vibespaces/two"]
    assert [change.vibespace.generation for change in late.changes] == [11, 11]
    assert late.cursor == here(house)


async def test_a_cursor_gets_exactly_what_was_missed(house: House, servicer: EventServicer) -> None:
    """After any cursor come the things that changed since, and the deletions, and nothing else."""
    await house.ask(create("stays"))
    await house.ask(create("goes"))
    await house.ask(add("stays"))
    cursor = here(house)
    await house.ask(delete("goes"))
    await house.ask(agent_deleted("goes"))
    await house.ask(deleted("goes"))
    await house.ask(create("comes"))
    missed = await anext(servicer.Watch(ev.WatchRequest(after=cursor), CONTEXT))
    assert told(missed) == [
        f"-{agent('claude-1', 'goes')}",
        "-vibespaces/goes",
        "vibespaces/comes",
        agent("claude-1", "comes"),
    ]
    assert (missed.snapshot, missed.caught_up) == (False, True)
    nothing = await anext(servicer.Watch(ev.WatchRequest(after=here(house)), CONTEXT))
    assert (told(nothing), nothing.snapshot, nothing.caught_up) == ([], False, True)


async def test_a_cursor_older_than_the_deletions_remembered_gets_everything(
    house: House, servicer: EventServicer
) -> None:
    """A day after a deletion a cursor from before it gets a snapshot, in which the deleted thing is not."""
    await house.ask(create("goes"))
    cursor = here(house)
    await house.ask(delete("goes"))
    await house.ask(agent_deleted("goes"))
    await house.ask(deleted("goes"))
    house.clock.forward(hours=25)
    await house.ask(create("new"))
    first = await anext(servicer.Watch(ev.WatchRequest(after=cursor), CONTEXT))
    assert first.snapshot
    assert told(first) == [agent("claude-1", "new"), "vibespaces/new"]


async def test_a_cursor_from_before_a_rest_gets_everything(house: House, servicer: EventServicer) -> None:
    """A bare stop changes the state of all things without an event of theirs: who was away then is told all."""
    await house.ask(create())
    cursor = here(house)
    await house.ask(host.rest)
    first = await anext(servicer.Watch(ev.WatchRequest(after=cursor), CONTEXT))
    assert first.snapshot
    assert first.changes[1].vibespace.status.state == v.VIBESPACE_STATE_STOPPING


async def test_what_all_states_depend_on_brings_everything_again(house: House, servicer: EventServicer) -> None:
    """When the engine is lost every state is UNKNOWN: a new snapshot says so, and another when it is back."""
    await house.ask(create())
    await house.ask(lambda transaction: host.observe_engine(transaction, reason=""))
    await house.ask(lambda transaction: host.observe_engine(transaction, reason="it is down"))
    assert house.feed.state.host
    since = house.feed.state.host.modified_on
    await house.ask(lambda transaction: host.observe_engine(transaction, reason="it is gone"))
    watch = servicer.Watch(ev.WatchRequest(), CONTEXT)
    await anext(watch)
    house.feed.engine_is_seen(False)
    lost = await anext(watch)
    assert lost.snapshot
    for found in (lost.changes[0].agent.status, lost.changes[1].vibespace.status):
        assert found.reason == "it is gone"
        assert found.unreachable_time.ToDatetime(UTC) == since
    assert lost.changes[0].agent.status.state == a.AGENT_STATE_UNKNOWN
    assert lost.host.engine_unreachable_time.ToDatetime(UTC) == since
    resumed = await anext(servicer.Watch(ev.WatchRequest(after=here(house)), CONTEXT))
    assert resumed.snapshot
    house.feed.engine_is_seen(True)
    back = await anext(watch)
    assert back.snapshot
    assert not back.changes[0].agent.status.HasField("unreachable_time")
    assert back.changes[0].agent.status.state == a.AGENT_STATE_STARTING


async def test_one_vibespace_can_be_followed(house: House, servicer: EventServicer) -> None:
    """With a parent only that vibespace and its agents are told; of other news only the cursor moves."""
    await house.ask(create("mine"))
    await house.ask(create("other"))
    watch = servicer.Watch(ev.WatchRequest(parent="vibespaces/mine"), CONTEXT)
    assert told(await anext(watch)) == [agent("claude-1", "mine"), "vibespaces/mine"]
    await house.ask(stop("other"))
    moved = await anext(watch)
    assert (told(moved), moved.cursor) == ([], here(house))
    await house.ask(stop("mine"))
    assert told(await anext(watch)) == ["vibespaces/mine"]


async def test_a_large_snapshot_comes_in_pieces(house: House, servicer: EventServicer) -> None:
    """More than 500 things come in several messages; the last one alone has the cursor and is caught up."""
    await house.together(*((create(f"v{n}"), Request("local", f"r-{n}", "d")) for n in range(300)))
    watch = servicer.Watch(ev.WatchRequest(), CONTEXT)
    pieces = [await anext(watch), await anext(watch)]
    assert [len(piece.changes) for piece in pieces] == [500, 100]
    assert [(p.snapshot, p.HasField("cursor"), p.caught_up) for p in pieces] == [
        (True, False, False),
        (True, True, True),
    ]


async def test_foreign_and_future_cursors_are_refused(daemon: Running) -> None:
    """Watch and StreamEvents say LOG_CHANGED to a cursor of another log, and to one from the future."""
    log_id, position = daemon.feed.log_id, daemon.feed.state.position
    for cursor in (Cursor(log_id="another", position=1), Cursor(log_id=log_id, position=position + 1)):
        watch = whole(daemon.events.Watch(ev.WatchRequest(after=cursor)))
        history = whole(daemon.events.StreamEvents(ev.StreamEventsRequest(after=cursor)))
        for error in (await refused(watch), await refused(history)):
            assert isinstance(error, FailedPrecondition)
            assert error.reason == "LOG_CHANGED"
            assert error.metadata == {"log_id": log_id}


async def test_a_watch_over_the_wire_sees_a_life(daemon: Running) -> None:
    """A client that keeps what Watch tells has, at the end, what List shows; and sees the thing go."""
    watch = daemon.events.Watch(ev.WatchRequest())
    await daemon.vibespaces.CreateVibespace(
        v.CreateVibespaceRequest(vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX))
    )
    known: dict[str, Any] = {}
    went: list[str] = []
    asked = False
    async for response in watch:
        for change in response.changes:
            if change.deleted:
                known.pop(change.deleted, None)
                went.append(change.deleted)
            else:
                resource = change.vibespace if change.HasField("vibespace") else change.agent
                known[resource.name] = resource
        demo = known.get("vibespaces/demo")
        if not asked and demo and demo.status.state == v.VIBESPACE_STATE_RUNNING:
            listed = await daemon.vibespaces.ListVibespaces(v.ListVibespacesRequest())
            assert list(listed.vibespaces) == [demo]
            await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name="vibespaces/demo"))
            asked = True
        if "vibespaces/demo" in went:
            break
    watch.cancel()
    assert went == [agent("codex-1", "demo"), "vibespaces/demo"]
    assert known == {}
    assert (await daemon.system.GetStatus(s.GetStatusRequest())).vibespaces == 0
