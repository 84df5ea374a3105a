"""Replay: what was true at a moment, and what is no moment."""

from __future__ import annotations

import pytest

from tests.app.house import House, create
from tests.daemon.running import CONTEXT, IMAGE, Running, quiet, refused
from vibespace.daemon.events import EventServicer
from vibespace.errors import AlreadyExists, InvalidArgument
from vibespace.v1 import agents_pb2 as a
from vibespace.v1 import events_pb2 as ev
from vibespace.v1 import vibespaces_pb2 as v


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
        ("\u0663", "MOMENT_INVALID"),
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


async def test_where_the_history_begins_can_be_typed(house: House, servicer: EventServicer) -> None:
    """The time that is told is of whole seconds, and not before the first event."""
    with pytest.raises(InvalidArgument) as e:
        await servicer.Replay(ev.ReplayRequest(moment="1000w"), CONTEXT)
    begins = e.value.message.removeprefix("The history begins at ").rstrip(".")
    assert begins == "2026-01-02T03:04:06Z"
    house.clock.forward(minutes=1)
    assert (await servicer.Replay(ev.ReplayRequest(moment=begins), CONTEXT)).cursor.position >= 1


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
