"""The feed: what is true now, and any number of followers from any position."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.app.house import House, agent_deleted, create, plain, stop
from vibespace.app import agents
from vibespace.app import feed as feed_module
from vibespace.app.feed import Feed
from vibespace.app.recorder import Recorded
from vibespace.app.writer import Request
from vibespace.errors import FailedPrecondition


async def test_followers_from_any_position_get_exactly_the_rest(house: House) -> None:
    """Whoever starts after position n gets n+1, n+2 and so on, each once, while the log goes on."""
    for n in range(5):
        await house.ask(create(f"v{n}"))
    last = house.log.position + 10

    async def follow(after: int) -> list[int]:
        got: list[int] = []
        async for page, _ in house.feed.events(after, follow=True):
            got += [recorded.position for recorded in page]
            if got[-1] == last:
                return got
        return got

    followers = [asyncio.create_task(follow(after)) for after in range(house.log.position + 1)]
    for n in range(5):
        await house.ask(create(f"w{n}"))
    for after, follower in enumerate(followers):
        assert await follower == list(range(after + 1, last + 1))


async def test_memory_and_disk_agree(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that come from the ring are equal to those read back from the file, wherever one changes to the other."""
    monkeypatch.setattr(feed_module, "_PAGE", 3)
    monkeypatch.setattr(feed_module, "_RING", 7)
    small = Feed(house.log, house.feed.state)
    for n in range(10):
        await house.ask(create(f"v{n}"))
        small._remember(house.batches[-1].recorded)
    whole = house.log.read(0)
    for after in range(len(whole) + 1):
        found: list[Recorded] = [recorded async for page, _ in small.events(after, follow=False) for recorded in page]
        assert found == whole[after:]


@pytest.mark.parametrize("most", [0, 3000])
async def test_memory_is_bounded_by_bytes(house: House, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The newest that fit are kept, none where the last is larger than that; the rest comes from the file."""
    monkeypatch.setattr(feed_module, "_RING_BYTES", most)
    small = Feed(house.log, house.feed.state)
    for n in range(10):
        await house.ask(create(f"v{n}"))
        small._remember(house.batches[-1].recorded)
        assert sum(len(recorded.state) for recorded in small._ring) == small._ring_bytes <= most
    assert bool(small._ring) == bool(most)
    whole = house.log.read(0)
    assert list(small._ring) == whole[len(whole) - len(small._ring) :]
    found = [recorded async for page, _ in small.events(0, follow=False) for recorded in page]
    assert found == whole


async def test_what_is_not_published_is_not_told(house: House) -> None:
    """Events that are on disk already wait for the feed: until then their positions are no cursors."""
    await house.ask(create())
    behind = Feed(house.log, house.feed.state.copy())
    await house.ask(create("two"))
    told = [recorded async for page, _ in behind.events(0, follow=False) for recorded in page]
    assert told[-1].position == behind.state.position < house.log.position


async def test_a_follower_of_the_present_waits_for_news(house: House) -> None:
    """From the end of the log a follower gets nothing until something happens."""
    pages = house.feed.events(house.log.position, follow=True)
    waiting = asyncio.ensure_future(anext(pages))
    await house.ask(create())
    assert [recorded.topic for recorded in (await waiting)[0]] == ["vibespace.created", "agent.created"]
    without = [page async for page in house.feed.events(house.log.position, follow=False)]
    assert without == []


async def test_a_place_in_another_or_a_future_history_is_refused(house: House) -> None:
    """A cursor of another log, from the future or below zero is LOG_CHANGED; one of this log is good."""
    position, log_id = house.log.position, house.feed.log_id
    assert house.feed.check(log_id, position) == position
    assert house.feed.check("", 0) == 0
    for foreign, place in (("another", 0), (log_id, position + 1), (log_id, -1)):
        with pytest.raises(FailedPrecondition) as e:
            house.feed.check(foreign, place)
        assert (e.value.reason, e.value.metadata) == ("LOG_CHANGED", {"log_id": log_id})


async def test_the_readers_state_moves_with_the_writers(house: House) -> None:
    """After every batch the feed's state is the writer's, in content and in order."""
    for command in (create(), create("two"), stop(), create("three")):
        await house.ask(command)
        assert plain(house.feed.state) == plain(house.written)


async def test_one_batch_moves_all_states_alike(house: House) -> None:
    """What is asked of an agent that goes in the same commit is forgotten by the reader as by the writer."""
    await house.ask(create())
    stopping = partial(agents.stop_agent, vibespace="demo", name="claude-1")
    await house.together((stopping, Request("local", "last", "d")), (agent_deleted(), Request("daemon")))
    assert plain(house.feed.state) == plain(house.written) == plain(house.log.fold())


async def test_news_of_the_engine_wakes_who_waits(house: House) -> None:
    """Seeing the engine for the first time, or losing it, is news; hearing it again is not."""
    news = asyncio.ensure_future(house.feed.news())
    await asyncio.sleep(0)
    house.feed.engine_is_seen(True)
    await news
    again = asyncio.ensure_future(house.feed.news())
    await asyncio.sleep(0)
    house.feed.engine_is_seen(True)
    await asyncio.sleep(0)
    assert not again.done()
    house.feed.engine_is_seen(False)
    await again
    assert house.feed.mood == (False, False, "", ())
