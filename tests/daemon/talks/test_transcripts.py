"""What one is told of an agent's answer: all of it and no more, in its order, from wherever it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.echoing import DONE, Talk, echoing, home_of, prepare, said
from tests.daemon.running import Running, quiet
from vibespace.engine.fake_world import World
from vibespace.v1 import conversations_pb2 as c
from vibespace.v1.cursor_pb2 import Cursor

LONG = " ".join(f"word{number}" for number in range(6000))
"""More than an event holds."""


def talk(demo: Running) -> Talk:
    return Talk(demo.channel)


async def stream(
    talk: Talk, sent: c.SendMessageResponse, after: Cursor | None = None, hears: Callable[[], object] = object
) -> list[str]:
    """The answer as who follows it has it: the pieces of each block put together, and what else there was.

    Of each piece it `hears`.
    """
    request = c.StreamTranscriptRequest(
        name=talk.name, after=after or sent.cursor, until_message=sent.message.uid, deltas=True
    )
    told: list[str] = []
    open_block = ""
    async for response in talk.stub.StreamTranscript(request):
        for delta in response.deltas:
            if delta.block != open_block:
                open_block = delta.block
                told.append("")
            assert len(told[-1]) == delta.offset
            told[-1] += delta.text
            hears()
        for block in response.blocks:
            match block.WhichOneof("block"):
                case "text" if not block.text.by_user and block.text.block == open_block:
                    told[-1] += block.text.text[len(told[-1]) :]
                    open_block = ""
                case "text" if not block.text.by_user:
                    told.append(block.text.text)
                case "tool_call":
                    told.append(block.tool_call.tool)
    return told


@pytest.mark.parametrize("text", ["short", LONG])
async def test_an_answer_is_told_to_its_end(talk: Talk, text: str) -> None:
    """However long it is, while it is said and later."""
    sent = await talk.say(f"spell {text}")
    assert await stream(talk, sent) == [text]
    assert await stream(talk, sent) == [text]


async def test_a_long_answer_whose_rest_is_gone_is_told_as_far_as_it_is_there(talk: Talk, home: Path) -> None:
    """The beginning is in the log."""
    sent = await talk.say(f"spell {LONG}")
    assert (await talk.outcome(sent)).state == DONE
    for path in (home / "blobs").rglob("*"):
        path.unlink()
    assert await stream(talk, sent) == [LONG[:2000]]


async def test_what_is_said_is_told_in_its_order(talk: Talk, home: Path) -> None:
    """Pieces come before the log has what was before them; they wait for that."""
    words = "\n".join(f"spell text {number}\nlook {number}" for number in range(20))
    sent = await talk.say(words)
    told = await stream(talk, sent)
    assert told == [each for number in range(20) for each in (f"text {number}", "Shell")]


async def test_who_comes_amid_a_turn_is_told_the_rest(demo: Running, talk: Talk, world: World) -> None:
    """Wherever that is: it has begun."""
    sent = await talk.say("spell first\nwait go\nspell second")
    text = await talk.until("text", sent.cursor)
    (home_of(demo, world) / "go").touch()
    assert (await talk.outcome(sent)).state == DONE
    assert await stream(talk, sent, text.cursor) == ["second"]


async def test_another_daemon_tells_the_rest(home: Path, world: World) -> None:
    """Of a block that the first was amid, from its beginning."""
    async with echoing(home, world) as first:
        await prepare(first)
        talk = Talk(first.channel)
        sent = await talk.say("spell before\nbegin amid \nwait go\nspell after")
        request = c.StreamTranscriptRequest(
            name=talk.name, after=sent.cursor, until_message=sent.message.uid, deltas=True
        )
        after = sent.cursor
        async for response in talk.stub.StreamTranscript(request):
            after = response.cursor if response.HasField("cursor") else after
            if any(delta.text == "amid " for delta in response.deltas):
                break
    async with echoing(home, world) as second:
        talk = Talk(second.channel)
        await second.until(quiet)
        go = home_of(second, world) / "go"
        assert await stream(talk, sent, after, go.touch) == ["amid ", "after"]


async def test_the_answers_to_others_are_not_told(talk: Talk) -> None:
    """Also when all of them are there."""
    sent = [await talk.say(f"spell {name}") for name in ("first", "second", "third")]
    assert (await talk.outcome(sent[-1])).state == DONE
    assert [await stream(talk, each) for each in sent] == [["first"], ["second"], ["third"]]
    assert said(await talk.transcript()) == ["first", "second", "third"]
