"""Whose turn it is while a message is waited for: what is done for others is not told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.app.house import House, create
from tests.app.talking import line, program_ended, program_started, say, with_first
from vibespace.app import messages
from vibespace.app.blobs import Blobs
from vibespace.app.deltas import Deltas
from vibespace.daemon import transcripts
from vibespace.daemon.transcripts import TranscriptStream
from vibespace.v1 import conversations_pb2 as v1
from vibespace.v1.cursor_pb2 import Cursor
from vibespace.vault import Pieces

WHOSE = ("demo", "claude-1")


async def works(house: House, turn: str, text: str) -> None:
    """Its program is handed the first message that waits, and says something in a turn for that."""
    await house.ask(with_first(messages.hand_message, *WHOSE))
    first = next(iter(house.feed.state.messages[house.feed.state.agent(*WHOSE).uid].values()))
    await house.ask(line(*WHOSE, {"kind": "turn_started", "turn": turn}))
    await house.ask(
        line(*WHOSE, {"kind": "text", "message": first.delivery, "turn": turn, "by_user": True, "text": "hi"})
    )
    await house.ask(line(*WHOSE, {"kind": "text", "turn": turn, "text": text}))


async def told(house: House, path: Path, after: int, uid: str) -> list[str]:
    """What the agent says, to who waits for that message from there on."""
    request = v1.StreamTranscriptRequest(
        name="vibespaces/demo/agents/claude-1", after=Cursor(position=after), until_message=uid
    )
    deltas = Deltas(lambda: Pieces(lambda: (), str))
    stream = TranscriptStream(house.feed, deltas, Blobs(path), request)
    blocks = [block async for response in stream.responses() for block in response.blocks]
    return [block.text.text for block in blocks if block.HasField("text") and not block.text.by_user]


async def test_one_that_could_not_join_a_turn_waits_again(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever one asks: it has a turn of its own later, and only what is said in that is for it."""
    monkeypatch.setattr(transcripts, "_BACK", 2)
    await house.ask(create())
    first = await house.ask(say(text="first"))
    await house.ask(program_started())
    await works(house, "t1", "begun")
    joins = await house.ask(say(text="joins", steers=True))
    [_, waiting] = house.feed.state.messages[house.feed.state.agent(*WHOSE).uid].values()
    await house.ask(partial(messages.hand_message, message=waiting))
    await house.ask(line(*WHOSE, {"kind": "text", "turn": "t1", "text": "amid"}))
    await house.ask(program_ended(*WHOSE))
    await house.ask(program_started())
    await works(house, "t2", "gone on")
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "turn": "t2", "reason": "completed"}))
    await works(house, "t3", "its own")
    ends = house.log.position
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "turn": "t3", "reason": "completed"}))
    assert [await told(house, tmp_path, after, str(joins.uid)) for after in range(first.position, ends)] == [
        ["its own"]
    ] * (ends - first.position)
    whole = [await told(house, tmp_path, after, str(first.uid)) for after in (0, first.position)]
    assert whole == [["begun", "amid", "gone on"]] * 2
    assert await told(house, tmp_path, ends, str(joins.uid)) == []
