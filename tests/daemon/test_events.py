"""EventService: all as it is now and every change after, and the history as it was written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.house import ENGINE, House, add, agent_deleted, create, delete, deleted, start, stop
from tests.daemon.running import IMAGE, Running, quiet, refused, whole
from vibespace.app import feed as feed_module
from vibespace.app import host
from vibespace.app.head import Head
from vibespace.app.index import Wanted
from vibespace.app.writer import Request
from vibespace.daemon.auditor import Auditor
from vibespace.daemon.doctor import Doctor
from vibespace.daemon.events import EventServicer
from vibespace.daemon.guard import Guard
from vibespace.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from vibespace.setup import guard
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.cursor_pb2 import Cursor

CONTEXT: Any = None
"""What gRPC hands to a method, and none of these looks at."""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "events.db")
    await opened.open()
    await opened.ask(lambda transaction: host.initialize(transaction, engine=ENGINE, image=IMAGE))
    await opened.ask(lambda transaction: host.observe_engine(transaction, reason=""))
    opened.feed.engine_is_seen(True)
    yield opened
    await opened.close()


@pytest.fixture
def servicer(house: House) -> EventServicer:
    return EventServicer(house.feed, house.log, Auditor(house.feed, house.log), house.clock)


def told(response: ev.WatchResponse) -> list[str]:
    """Names of what a message is about; `-` before what is gone."""
    changes = response.changes
    return [f"-{c.deleted}" if c.deleted else c.vibespace.name or c.agent.name for c in changes]


def here(house: House) -> Cursor:
    return Cursor(log_id=house.feed.log_id, position=house.feed.state.position)


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
    assert first.changes[1].vibespace.status.state == v.VIBESPACE_STATE_STOPPED


async def test_what_all_states_depend_on_brings_everything_again(house: House, servicer: EventServicer) -> None:
    """When the engine is lost every state is UNKNOWN: a new snapshot says so, and another when it is back."""
    await house.ask(create())
    watch = servicer.Watch(ev.WatchRequest(), CONTEXT)
    await anext(watch)
    house.feed.engine_is_seen(False)
    lost = await anext(watch)
    assert lost.snapshot
    assert lost.changes[0].agent.status.state == a.AGENT_STATE_UNKNOWN
    resumed = await anext(servicer.Watch(ev.WatchRequest(after=here(house)), CONTEXT))
    assert resumed.snapshot
    house.feed.engine_is_seen(True)
    back = await anext(watch)
    assert back.snapshot
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


async def test_the_history_is_served_as_it_was_written(daemon: Running) -> None:
    """Each event has its cursor, time, actor, request, type, subject and uid, and its own fields as JSON."""
    answer = await daemon.vibespaces.CreateVibespace(
        v.CreateVibespaceRequest(
            vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX), request_id="the-request"
        )
    )
    [page] = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(parent="vibespaces/demo", type="vibespace")))
    [event] = page.events
    assert event.cursor == Cursor(log_id=daemon.feed.log_id, position=answer.cursor.position - 1)
    assert (event.actor, event.cause, event.request_id) == ("local", "", "the-request")
    assert (event.type, event.subject, event.uid) == ("vibespace.created", "vibespaces/demo", answer.vibespace.uid)
    assert event.time == answer.vibespace.create_time
    assert json.loads(event.data) == {"name": "demo", "data_uid": answer.vibespace.data_uid, "spec": {}}


async def test_what_follows_by_itself_names_its_cause(daemon: Running) -> None:
    """What the daemon observes carries the request that led to it."""
    await daemon.vibespaces.CreateVibespace(
        v.CreateVibespaceRequest(
            vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX), request_id="the-request"
        )
    )
    await daemon.until(quiet)
    [page] = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(type="agent.observed")))
    [event] = page.events
    assert (event.actor, event.cause, event.request_id) == ("daemon", "the-request", "")


async def test_the_history_can_be_filtered_and_resumed(daemon: Running) -> None:
    """By noun, by type, by vibespace, and after a position: exactly those events, in order."""
    kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    for name in ("one", "one-more"):
        await daemon.vibespaces.CreateVibespace(v.CreateVibespaceRequest(vibespace_id=name, agent=kind))
    await daemon.until(quiet)

    async def types(**asked: Any) -> list[str]:
        pages = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(**asked)))
        return [event.type for page in pages for event in page.events]

    everything = await types()
    assert everything[:3] == ["host.created", "host.initialized", "host.engine_reachable"]
    assert await types(after_position=3) == everything[3:]
    assert await types(after=Cursor(position=3)) == everything[3:]
    assert await types(type="agent") == [t for t in everything if t.startswith("agent.")]
    assert await types(type="agent.created") == ["agent.created"] * 2
    assert await types(type="age") == []
    assert await types(parent="vibespaces/one") == ["vibespace.created", "agent.created", "agent.observed"]


async def test_the_history_can_be_followed(daemon: Running) -> None:
    """With follow the stream goes on as things happen."""
    stream = daemon.events.StreamEvents(ev.StreamEventsRequest(after_position=daemon.feed.state.position, follow=True))
    await daemon.vibespaces.CreateVibespace(
        v.CreateVibespaceRequest(vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX))
    )
    seen: list[str] = []
    async for page in stream:
        seen += [event.type for event in page.events]
        if len(seen) == 3:
            break
    stream.cancel()
    assert seen == ["vibespace.created", "agent.created", "agent.observed"]


async def test_the_past_can_be_asked_for(daemon: Running) -> None:
    """Replay at a position is what was true then; a position that is not in the history is refused."""
    created = await daemon.vibespaces.CreateVibespace(
        v.CreateVibespaceRequest(vibespace_id="demo", agent=a.AgentSettings(type=a.AGENT_TYPE_CODEX))
    )
    await daemon.until(quiet)
    await daemon.vibespaces.StopVibespace(v.StopVibespaceRequest(name="vibespaces/demo"))
    then = await daemon.events.Replay(ev.ReplayRequest(at=created.cursor.position))
    assert then.cursor == created.cursor
    assert [one.intent for one in then.vibespaces] == [a.RUN_INTENT_START]
    assert [one.status.state for one in then.agents] == [a.AGENT_STATE_STARTING]
    now = await daemon.events.Replay(ev.ReplayRequest())
    assert [one.intent for one in now.vibespaces] == [a.RUN_INTENT_STOP]
    for at in (0, -1, daemon.feed.state.position + 1000):
        error = await refused(daemon.events.Replay(ev.ReplayRequest(at=at)))
        assert isinstance(error, InvalidArgument)
        assert (error.reason, error.field) == ("POSITION_INVALID", "at")


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


async def test_a_moment_can_be_a_time(house: House, servicer: EventServicer) -> None:
    """A time means the last event that was written by then, `10m` ten minutes before now."""
    await house.ask(create("one"))
    before = house.feed.state.position
    house.clock.forward(minutes=15)
    await house.ask(create("two"))

    async def at(moment: str) -> int:
        return (await servicer.Replay(ev.ReplayRequest(moment=moment), CONTEXT)).cursor.position

    assert await at("10m") == before
    assert await at("2026-01-02T03:10:00Z") == before
    assert await at("2026-01-02T05:10:00+02:00") == before
    assert await at(str(before)) == before
    assert await at("0s") == house.feed.state.position
    told = await servicer.Replay(ev.ReplayRequest(moment="10m"), CONTEXT)
    assert told.time.ToJsonString() == "2026-01-02T03:04:05.678901Z"
    assert told.host.image == IMAGE


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("never", "MOMENT_INVALID"),
        ("-5", "MOMENT_INVALID"),
        ("2026-01-02T03:10:00", "MOMENT_INVALID"),
        ("999999999w", "MOMENT_INVALID"),
        ("2026-13-40", "MOMENT_INVALID"),
        ("2030-01-01T00:00:00Z", "MOMENT_AHEAD"),
        ("2020-01-01T00:00:00Z", "MOMENT_TOO_EARLY"),
        ("1000w", "MOMENT_TOO_EARLY"),
        ("0", "POSITION_INVALID"),
        ("1000", "POSITION_INVALID"),
    ],
)
async def test_what_is_no_moment_is_refused(servicer: EventServicer, moment: str, reason: str) -> None:
    """Nonsense, what is to come and what was before the first event: each in one sentence, at its field."""
    with pytest.raises(InvalidArgument) as e:
        await servicer.Replay(ev.ReplayRequest(moment=moment), CONTEXT)
    assert (e.value.reason, e.value.field) == (reason, "moment")


async def test_a_clock_that_jumps_spoils_nothing(house: House, servicer: EventServicer) -> None:
    """Set back and forward, events keep their order and their times; a moment is a place where the clock showed it."""
    for minutes in (10, -60, 30, 60 * 24 * 3, -60 * 24 * 3):
        house.clock.forward(minutes=minutes)
        await house.ask(create(f"v{len(house.feed.state.vibespaces)}"))
    state = house.feed.state.position
    times = [recorded.time for recorded in house.log.read(0)]
    assert times != sorted(times)
    now = house.clock()
    found = (await servicer.Replay(ev.ReplayRequest(moment=now.isoformat()), CONTEXT)).cursor.position
    assert times[found - 1] <= now.isoformat()
    assert found == state or times[found] > now.isoformat()
    await house.reopen()
    assert (len(house.feed.state.vibespaces), house.feed.state.position) == (5, state)
    with pytest.raises(AlreadyExists):
        await house.ask(create("v0"))


async def test_old_events_are_found_without_reading_all(
    house: House, servicer: EventServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By vibespace, by type and by both, what is found is what reading everything finds, page after page; and only
    that is read.
    """
    for n in range(6):
        await house.ask(create(f"v{n}"))
        await house.ask(add(f"v{n}"))
        await house.ask(stop(f"v{n}"))
    house.feed._ring.clear()
    monkeypatch.setattr(feed_module, "_PAGE", 2)
    every = house.log.read(0)
    monkeypatch.setattr(house.log._recorder, "read_all", None)
    monkeypatch.setattr(house.log, "read", None)
    for vibespace in ("", "v1", "v", "none"):
        for type in ("", "agent", "agent.created", "vibespace", "age", "nothing"):
            if wanted := Wanted(vibespace, type):
                request = ev.StreamEventsRequest(type=type, parent=f"vibespaces/{vibespace}" if vibespace else "")
                pages = [page async for page in servicer.StreamEvents(request, CONTEXT)]
                found = [event.cursor.position for page in pages for event in page.events]
                assert found == [r.position for r in every if wanted.has(r.body["subject"], r.topic)]
                assert pages[-1].cursor == here(house)


async def test_a_spoilt_index_is_made_again(house: House) -> None:
    """Garbage, another log's, or one that is not there: the answer is the same."""
    for n in range(3):
        await house.ask(create(f"v{n}"))
    wanted, index = Wanted("v1"), house.path.with_name("index.db")
    found = house.log.find(wanted, 0, house.log.position)
    assert [r.topic for r in found] == ["vibespace.created", "agent.created"]
    good = index.read_bytes()
    for content in (b"", b"garbage" * 1000, good[:4096] + b"\xff" * (len(good) - 4096)):
        for file in index.parent.glob("index.db*"):
            file.unlink()
        index.write_bytes(content)
        assert house.log.find(wanted, 0, house.log.position) == found
    connection = sqlite3.connect(index)
    connection.execute("DELETE FROM places")
    connection.execute("UPDATE upto SET hash = x'00'")
    connection.commit()
    connection.close()
    assert house.log.find(wanted, 0, house.log.position) == found


async def test_a_page_ends_where_it_was_asked_to(house: House, servicer: EventServicer) -> None:
    """With a limit so many events come, and after the cursor of the last one all others, once."""
    await house.ask(create())
    await house.ask(add())
    got: list[int] = []
    after = Cursor()
    while True:
        request = ev.StreamEventsRequest(after=after, limit=2)
        pages = [page async for page in servicer.StreamEvents(request, CONTEXT)]
        events = [event for page in pages for event in page.events]
        if not events:
            break
        assert len(events) <= 2
        got += [event.cursor.position for event in events]
        after = pages[-1].cursor
    assert got == list(range(1, house.feed.state.position + 1))
    with pytest.raises(InvalidArgument):
        await anext(servicer.StreamEvents(ev.StreamEventsRequest(limit=-1), CONTEXT))


async def test_damage_is_told(house: House, servicer: EventServicer) -> None:
    """VerifyLog and the doctor say where and what; of a log whose end is gone, that it is; a whole log is fine."""
    await house.ask(create())
    await house.ask(stop())
    house.log.keep_head(Head(house.feed.log_id, house.log.position, house.log.hash))
    house.log.keep(house.feed.state.copy(), house.feed.hash)
    doctor = Doctor(house.feed, house.log, servicer._auditor, Guard(house.feed, guard, lambda _: "", lambda _: True))
    fine = await servicer.VerifyLog(ev.VerifyLogRequest(), CONTEXT)
    assert (list(fine.damages), fine.more, fine.cursor) == ([], 0, here(house))
    assert [f.severity for f in doctor._log()] == [s.SEVERITY_OK]
    connection = sqlite3.connect(house.path)
    connection.execute("UPDATE stored_events SET topic = 'agent.deleted' WHERE position = 2")
    connection.commit()
    told = await servicer.VerifyLog(ev.VerifyLogRequest(), CONTEXT)
    assert [(d.position, d.kind) for d in told.damages] == [(2, ev.DAMAGE_KIND_CHANGED)]
    [finding] = doctor._log()
    assert finding.severity == s.SEVERITY_ERROR
    assert "Position 2: changed" in finding.message
    last = house.log.position
    connection.execute("UPDATE stored_events SET topic = 'host.initialized' WHERE position = 2")
    connection.execute("DELETE FROM stored_events WHERE position = ?", (last,))
    connection.commit()
    connection.close()
    told = await servicer.VerifyLog(ev.VerifyLogRequest(), CONTEXT)
    assert (last, ev.DAMAGE_KIND_CUT_OFF) in [(d.position, d.kind) for d in told.damages]
    [finding] = doctor._log()
    assert finding.severity == s.SEVERITY_ERROR


async def test_an_end_that_is_gone_stays_known(house: House) -> None:
    """A daemon on a log that was cut off goes on, and what tells of the end is not overwritten until it is removed."""
    await house.ask(create())
    await house.ask(stop())
    last = Head(house.feed.log_id, house.log.position, house.log.hash)
    house.log.keep_head(last)
    house.log.keep(house.feed.state.copy(), house.feed.hash)
    await house.close()
    connection = sqlite3.connect(house.path)
    connection.execute("DELETE FROM stored_events WHERE position = ?", (last.position,))
    connection.commit()
    connection.close()
    await house.open()
    assert house.log.position == last.position - 1
    for _ in range(2):
        await house.ask(start() if house.feed.state.vibespace("demo").generation % 2 == 0 else stop())
        house.log.keep_head(Head(last.log_id, house.log.position, house.log.hash))
        assert house.log.lost(last.log_id) == last
    house.log.head.unlink()
    house.log.keep_head(Head(last.log_id, house.log.position, house.log.hash))
    assert house.log.lost(last.log_id) is None
