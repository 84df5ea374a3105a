"""The history: served as it was written, found without reading all of it, and looked over for damage."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from tests.app.house import House, add, create, start, stop
from tests.daemon.running import CONTEXT, Running, here, quiet, refused, whole
from vibespace.app import feed as feed_module
from vibespace.app.head import Head
from vibespace.app.index import Wanted
from vibespace.app.log import Log
from vibespace.daemon import convert_events
from vibespace.daemon.doctor import Doctor
from vibespace.daemon.events import EventServicer
from vibespace.daemon.guard import Guard
from vibespace.errors import InvalidArgument, NotFound
from vibespace.setup import guard
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import system_pb2 as s
from vibespace.v1 import vibespaces_pb2 as v
from vibespace.v1.cursor_pb2 import Cursor


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
    assert await types(parent="vibespaces/one") == ["vibespace.created", "agent.created", "agent.observed"]


async def test_what_there_cannot_be_is_refused(daemon: Running) -> None:
    """A type that no event has, a place outside the history, a vibespace that there never was: none ends in silence."""

    async def refusal(**asked: Any) -> tuple[type, str, str, str]:
        error = await refused(whole(daemon.events.StreamEvents(ev.StreamEventsRequest(**asked))))
        return type(error), error.reason, error.field, error.message

    newest = daemon.feed.state.position
    kind, reason, field, told = await refusal(type="age")
    assert (kind, reason, field) == (InvalidArgument, "TYPE_UNKNOWN", "type")
    assert "host, vibespace, agent" in told
    assert "agent.created, agent.deleted" in (await refusal(type="agent.nope"))[3]
    for position in (-1, newest + 1):
        assert (await refusal(after_position=position))[:3] == (InvalidArgument, "POSITION_INVALID", "after_position")
    assert (await refusal(limit=-1))[:3] == (InvalidArgument, "LIMIT_INVALID", "limit")
    assert (await refusal(parent="vibespaces/nope"))[:2] == (NotFound, "VIBESPACE_NOT_FOUND")


async def test_what_is_not_there_yet_can_be_followed(daemon: Running) -> None:
    """Its first event is told when it happens; what there never was is a mistake only where nothing can come."""
    following = aiter(daemon.events.StreamEvents(ev.StreamEventsRequest(parent="vibespaces/soon", follow=True)))
    await anext(following)
    kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    await daemon.vibespaces.CreateVibespace(v.CreateVibespaceRequest(vibespace_id="soon", agent=kind))
    told = await anext(following)
    while not told.events:
        told = await anext(following)
    assert told.events[0].type == "vibespace.created"


async def test_a_vibespace_of_long_ago_has_its_history(daemon: Running) -> None:
    """What is deleted is not what never was, also when only the disk remembers it; a name that begins alike is."""
    kind = a.AgentSettings(type=a.AGENT_TYPE_CODEX)
    await daemon.vibespaces.CreateVibespace(v.CreateVibespaceRequest(vibespace_id="long-ago", agent=kind))
    await daemon.vibespaces.DeleteVibespace(v.DeleteVibespaceRequest(name="vibespaces/long-ago"))
    await daemon.until(lambda feed: "long-ago" not in feed.state.vibespaces)
    daemon.feed._ring.clear()
    pages = await whole(daemon.events.StreamEvents(ev.StreamEventsRequest(parent="vibespaces/long-ago")))
    assert "vibespace.deleted" in [event.type for page in pages for event in page.events]
    error = await refused(whole(daemon.events.StreamEvents(ev.StreamEventsRequest(parent="vibespaces/long"))))
    assert error.reason == "VIBESPACE_NOT_FOUND"


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
    for vibespace in ("", "v1", "v5"):
        for type in ("", "agent", "agent.created", "vibespace", "host.woken"):
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
        assert index.read_bytes().startswith(b"SQLite format 3")
    connection = sqlite3.connect(index)
    connection.execute("DELETE FROM places")
    connection.execute("UPDATE upto SET hash = x'00'")
    connection.commit()
    connection.close()
    assert house.log.find(wanted, 0, house.log.position) == found


async def test_an_index_that_is_not_whole_is_made_again(house: House) -> None:
    """One that was cut short is noticed."""
    for n in range(30):
        await house.ask(create(f"v{n}"))
    newest, index = house.log.position, house.path.with_name("index.db")
    house.log._index.fill(newest)
    found = house.log.find(Wanted("v29"), 0, newest)
    assert len(found) == 2
    good = index.read_bytes()
    for content in (good[:-2000], good[:-4096]):
        index.write_bytes(content)
        log = Log(house.path)
        assert log.find(Wanted("v29"), 0, newest) == found
        log.close()


async def test_an_index_may_go_while_it_is_read(house: House) -> None:
    """The one that takes its place shares nothing with it, no memory above all, whose end would be the daemon's."""
    for n in range(3):
        await house.ask(create(f"v{n}"))
    path, index = house.path.with_name("index.db"), house.log._index
    count = "SELECT COUNT(*) FROM places"
    with index.filled(house.log.position) as first:
        before = first.execute(count).fetchall()
        path.unlink()
        await house.ask(create("another"))
        with index.filled(house.log.position) as second:
            assert first.execute(count).fetchall() == before
            assert second.execute(count).fetchall() > before
            assert not path.with_name("index.db-shm").exists()


async def test_an_index_that_cannot_be_made_again(house: House) -> None:
    """The log alone has the answers too."""
    for n in range(3):
        await house.ask(create(f"v{n}"))
    wanted, index = Wanted("v1"), house.path.with_name("index.db")
    found = house.log.find(wanted, 0, house.log.position)
    index.write_bytes(b"garbage" * 1000)
    index.with_name("index.db-of-somebody").mkdir()  # which is not removed as a file is
    assert house.log.find(wanted, 0, house.log.position) == found
    assert house.log.replay(5).vibespaces.keys() == house.log.fold(5).vibespaces.keys()


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


async def _no_disk(_: object) -> dict[str, int]:
    return {}


async def test_damage_is_told(house: House, servicer: EventServicer) -> None:
    """VerifyLog and the doctor say where and what; of a log whose end is gone, that it is; a whole log is fine."""
    await house.ask(create())
    await house.ask(stop())
    house.log.write_head(Head(house.feed.log_id, house.log.position, house.log.hash))
    house.log.write_checkpoint(house.feed.state.copy(), house.feed.hash)
    safe = Guard(house.feed, guard, lambda _: "", lambda _: True)
    doctor = Doctor(house.feed, house.log, servicer._auditor, safe, _no_disk, list)
    fine = await servicer.VerifyLog(ev.VerifyLogRequest(), CONTEXT)
    assert (list(fine.damages), fine.more, fine.cursor) == ([], 0, here(house))
    [finding] = doctor._log()
    assert (finding.severity, finding.hint) == (s.SEVERITY_OK, "")
    checked = house.log.position
    assert finding.message.startswith(f"{checked} of {checked} events checked at ")
    await house.ask(start())
    house.log.write_head(Head(house.feed.log_id, house.log.position, house.log.hash))
    [finding] = doctor._log()
    assert finding.severity == s.SEVERITY_OK
    assert finding.message.startswith(f"{checked} of {house.log.position} events checked at ")
    assert "audit verify" in finding.hint
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
    house.log.write_head(last)
    house.log.write_checkpoint(house.feed.state.copy(), house.feed.hash)
    await house.close()
    connection = sqlite3.connect(house.path)
    connection.execute("DELETE FROM stored_events WHERE position = ?", (last.position,))
    connection.commit()
    connection.close()
    await house.open()
    assert house.log.position == last.position - 1
    for _ in range(2):
        await house.ask(start() if house.feed.state.vibespace("demo").generation % 2 == 0 else stop())
        house.log.write_head(Head(last.log_id, house.log.position, house.log.hash))
        assert house.log.lost(last.log_id) == last
    house.log.head.unlink()
    house.log.write_head(Head(last.log_id, house.log.position, house.log.hash))
    assert house.log.lost(last.log_id) is None


async def test_large_messages_take_no_place_of_small_ones(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who follow get the same message of an event; of large ones only a few are kept, and of huge ones none."""
    await house.ask(create())
    recorded = house.log.read(0)[-1]
    log_id = house.feed.log_id
    kept = convert_events.event_message(recorded, log_id)
    assert convert_events.event_message(recorded, log_id) is kept
    monkeypatch.setattr(convert_events, "_SMALL", len(recorded.state) - 1)
    large = convert_events.event_message(recorded, log_id)
    assert large is not kept
    assert large == kept
    assert convert_events.event_message(recorded, log_id) is large
    assert convert_events._large_message.cache_parameters()["maxsize"] * convert_events._LARGE <= 4 << 20
    monkeypatch.setattr(convert_events, "_LARGE", len(recorded.state) - 1)
    assert convert_events.event_message(recorded, log_id) is not convert_events.event_message(recorded, log_id)
