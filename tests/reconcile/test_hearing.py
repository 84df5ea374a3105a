"""What is heard of an agent's program, whatever its journal holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.house import House, create
from tests.app.talking import program_started, say
from tests.reconcile.journal import hear, hearing, record, tools
from vibespace.domain.transcripts import Place
from vibespace.harness.base import Harness
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.codex import Codex
from vibespace.harness.reading import encode
from vibespace.net.base import Room
from vibespace.reconcile import checkpoints
from vibespace.reconcile.checkpoints import Checkpoint
from vibespace.reconcile.live import Live
from vibespace.reconcile.tools import Tools


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path / "events.db")
    await opened.open()
    await opened.ask(create())
    yield opened
    await opened.close()


@pytest.fixture
def with_tools(house: House, tmp_path: Path) -> Tools:
    return tools(house, tmp_path)


async def test_what_was_given_to_the_program_may_be_any_bytes(house: House, with_tools: Tools) -> None:
    """The journal is theirs who rule inside: what follows is heard all the same."""
    heard = hearing(house, with_tools)
    await hear(heard, record("start", 1), record("input", 2, b"\xff-greet-0\n{}\n"), record("input", 3, b"1-open-0\n"))
    assert "1-open-0" in heard.live.written


async def test_what_has_no_room_is_held(house: House, with_tools: Tools) -> None:
    """Who waits for its program can know; until there is room again."""
    await hear(hearing(house, with_tools), record("start", 1), Room(left=False), record("stderr", 2))
    assert [why.reason for why in house.feed.held.values()] == ["HOME_FULL"]
    await hear(hearing(house, with_tools), Room(left=True), record("stderr", 3))
    assert house.feed.held == {}


async def test_a_journal_that_is_lost_takes_with_it_what_was_kept_of_its_program(
    house: House, with_tools: Tools
) -> None:
    """It runs no more, whatever was known of it, and the next begins as if there had been none."""
    await house.ask(program_started())
    uid = house.feed.state.agent("demo", "claude-1").uid
    live = Live(1, running=True).told()
    assert live
    parser = {"parser": {"turn": "t"}, "limited": "", "named": [], "unfinished": {}, "told": []}
    with_tools.checkpoints.write(uid, Checkpoint(Place(1, 1), Place(1, 1), parser, live))
    heard = hearing(house, with_tools)
    assert heard.live.running
    await heard.await_all((0, 0), running=False)
    assert heard.live == Live()
    transcript = house.feed.state.transcript(uid)
    assert transcript
    assert not transcript.running
    assert with_tools.checkpoints.read(uid, Place(1, 1), running=True) is None


@pytest.mark.parametrize("left", [0, 2])
async def test_nothing_is_told_twice_where_a_journal_is_lost(house: House, tmp_path: Path, left: int) -> None:
    """All of it, or its end. The log has more of its program: what is listed by the next may all have been told."""
    used = tools(house, tmp_path, Codex())
    begun = encode({"method": "thread/started", "params": {"thread": {"id": "thread"}}})
    nothing = {"method": "thread/status/changed", "params": {}}
    lines = [begun, *[encode(nothing)] * checkpoints.EVERY, completed("one")]
    heard = hearing(house, used)
    await hear(heard, record("start", 1), *(record("stdout", seq, line) for seq, line in enumerate(lines, 2)))
    heard = hearing(house, used)
    there = [record("start", 1), record("stdout", 2, completed("none")), record("exit", 3, LOST)] if left else []
    await heard.await_all((1, 3) if left else (0, 0), running=False)
    await hear(heard, *there, record("start", 1, epoch=2), record("stdout", 2, listed("none", "one", "two"), epoch=2))
    assert texts(house) == [("one", "")]


async def test_nothing_is_told_twice_where_an_end_was_not_heard(house: House, tmp_path: Path) -> None:
    """The log is one of before: the programs have gone on."""
    heard = hearing(house, tools(house, tmp_path, Codex()))
    await hear(heard, record("start", 1), record("stdout", 2, completed("one")))
    await hear(heard, record("start", 1, epoch=3), record("stdout", 2, listed("one", "two", "three"), epoch=3))
    assert texts(house) == [("one", "")]


async def test_large_records_are_heard_one_at_a_time(house: House, with_tools: Tools) -> None:
    """So that as many as may be on their way do not fill our memory."""
    large = [record("stdout", seq, b"x" * (1 << 20)) for seq in range(2, 6)]
    far = await hear(hearing(house, with_tools), record("start", 1), *large)
    assert far[2:] == [Place(1, seq) for seq in range(2, 5)]


def line(kind: str, content: object, **more: Any) -> bytes:
    """Of Claude's transcript."""
    return encode({"type": kind, "entrypoint": "sdk-cli", "message": {"content": content}, **more}) + b"\n"


LOST = b'{"lost": true}\n'
BEFORE, AFTER = (line("assistant", [{"type": "text", "text": words}], uuid=words) for words in ("before", "after"))


@pytest.mark.parametrize("is_read", [True, False])
async def test_what_a_program_did_when_nobody_heard_it_is_in_its_transcript(
    house: House, tmp_path: Path, is_read: bool
) -> None:
    """What it took up is not said again, and what it answered to that is there; what it told by itself is so once.
    Its runner may have read so before it died.
    """
    for words in ("one", "two", "three"):
        await house.ask(say(text=words))
    uid = house.feed.state.agent("demo", "claude-1").uid
    first, second, _ = house.feed.state.messages[uid].values()
    both = line("user", "one\ntwo", uuid=second.uid, mergedSendUuids=[first.uid])
    queued = line("queue-operation", "one", about=first.uid)
    early, late = ([queued, both], [AFTER]) if is_read else ([queued], [BEFORE, both, AFTER])
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    await hear(heard, record("start", 1), *(record("transcript", seq, data) for seq, data in enumerate(early, 2)))
    assert texts(house) == []  # its standard output would tell
    gone = record("exit", 6, LOST)
    await hear(heard, gone, *(record("transcript", seq, data) for seq, data in enumerate(late, 7)))
    await hear(heard, record("start", 1, epoch=2), record("transcript", 2, AFTER, epoch=2))
    assert texts(house) == [("one", first.uid), ("two", second.uid), ("after", "")]
    assert [(each.text, each.resumed) for each in house.feed.state.messages[uid].values()] == [
        ("one", True),
        ("two", True),
        ("three", False),
    ]


async def test_what_a_program_told_by_itself_its_transcript_does_not_tell_again(house: House, tmp_path: Path) -> None:
    """Though that was read first, and the program is lost right then."""
    await house.ask(say(text="one"))
    uid = house.feed.state.agent("demo", "claude-1").uid
    (message,) = house.feed.state.messages[uid].values()
    said = line("user", "one", uuid=message.uid)
    begun = encode({"type": "system", "subtype": "init", "uuid": "t"}) + b"\n"
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    await hear(heard, record("start", 1), record("stdout", 2, begun), record("transcript", 3, said))
    await hear(heard, record("stdout", 4, said), record("exit", 5, LOST), record("transcript", 6, AFTER))
    assert texts(house) == [("one", message.uid)]


async def test_an_answer_that_is_cut_off_is_whole_where_the_transcript_has_it(house: House, tmp_path: Path) -> None:
    """In its turn, once, and without what of it was just being said."""
    begun = encode({"type": "system", "subtype": "init", "uuid": "t"}) + b"\n"
    first, *rest = (answered(place, words) for place, words in enumerate(("one", "two", "three")))
    saying = [
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 1},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "tw"}},
    ]
    told = [begun, first, *(encode({"type": "stream_event", "event": event}) + b"\n" for event in saying)]
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    await hear(heard, record("start", 1), *(record("stdout", seq, data) for seq, data in enumerate(told, 2)))
    await hear(heard, *(record("transcript", seq, data) for seq, data in enumerate((first, *rest), 7)))
    await hear(heard, record("exit", 10, LOST), record("transcript", 11, AFTER))
    assert texts(house) == [("one", ""), ("two", ""), ("three", "")]
    assert {block["turn"] for block in blocks(house) if block["kind"] in ("text", "turn_ended")} == {"t"}


async def test_nobody_has_denied_what_waits_when_it_is_cut_off(house: House, tmp_path: Path) -> None:
    """Its program writes so, and that is told as what the tool came to; the question is over, and without an answer."""
    begun = encode({"type": "system", "subtype": "init", "uuid": "t"}) + b"\n"
    asked = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": "call"}
    question = encode({"type": "control_request", "request_id": "q", "request": asked}) + b"\n"
    result = {"type": "tool_result", "tool_use_id": "call", "content": "stream closed", "is_error": True}
    failed = line("user", [result], uuid="f", permissionDecision={"decision": "reject"})
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    await hear(heard, record("start", 1), record("stdout", 2, begun), record("stdout", 3, question))
    await hear(heard, record("transcript", 4, failed), record("exit", 5, LOST))
    assert [block["text"] for block in blocks(house) if block["kind"] == "tool_result"] == ["stream closed"]
    assert [each.topic for each in house.log.read(0) if each.topic.startswith("approval.")] == [
        "approval.requested",
        "approval.expired",
    ]


async def test_all_that_is_cut_off_is_told(house: House, tmp_path: Path) -> None:
    """However much that is, and none twice; of what is too much, how much."""
    begun = encode({"type": "system", "subtype": "init", "uuid": "t"}) + b"\n"
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    lines = [answered(place, f"w{place}") for place in range(300)]
    await hear(heard, record("start", 1), record("stdout", 2, begun))
    await hear(heard, *(record("transcript", seq, data) for seq, data in enumerate(lines[:100], 3)))
    await hear(heard, *(record("stdout", seq, data) for seq, data in enumerate(lines[:200], 103)))
    await hear(heard, *(record("transcript", seq, data) for seq, data in enumerate(lines[100:], 303)))
    await hear(heard, record("exit", 503, LOST))
    assert [words for words, _ in texts(house)] == [f"w{place}" for place in range(300)]
    await hear(heard, record("start", 1, epoch=2), record("stdout", 2, begun, epoch=2))
    large = [answered(place, f"{place} {'x' * 200_000}") for place in range(30)]
    await hear(heard, *(record("transcript", seq, data, epoch=2) for seq, data in enumerate(large, 3)))
    await hear(heard, record("exit", 33, LOST, epoch=2))
    assert [words.partition(" ")[0] for words, _ in texts(house)][300:] == [f"{place}" for place in range(10, 30)]
    assert [block["why"] for block in blocks(house) if block["kind"] == "unparsed"] == ["10 lines of the transcript"]


async def test_what_it_tells_is_not_kept_any_more(house: House, tmp_path: Path) -> None:
    """So that a checkpoint can be made amid a turn: of a program that tells a line before its transcript has it, and of
    which the transcript has more than that.
    """
    begun = encode({"type": "system", "subtype": "init", "uuid": "t"}) + b"\n"
    asked, told = tools(house, tmp_path, ClaudeCode()), [answered(place, f"w{place}") for place in range(600)]
    heard = hearing(house, asked)
    lines = [begun, *told]
    both = [each for line in lines for each in (("stdout", line), ("transcript", line), ("transcript", b"{}\n"))]
    await hear(heard, record("start", 1), *(record(kind, seq, data) for seq, (kind, data) in enumerate(both, 2)))
    kept = asked.checkpoints.read(house.feed.state.agent("demo", "claude-1").uid, Place(1, 2000), running=True)
    assert kept
    assert kept.heard["told"][-1].startswith("w")


@pytest.mark.parametrize("cut", [0, 1, 2], ids=["not", "between", "after the next began"])
async def test_who_goes_on_knows_what_the_program_before_told(house: House, tmp_path: Path, cut: int) -> None:
    """So that what was said when nobody heard it is told, and nothing else: wherever we ourselves are cut off."""
    used = tools(house, tmp_path, Codex())
    heard = hearing(house, used)
    await hear(heard, record("start", 1), record("stdout", 2, completed("one")), record("exit", 3, LOST))
    heard = hearing(house, used) if cut == 1 else heard
    await hear(heard, record("start", 1, epoch=2))
    heard = hearing(house, used) if cut == 2 else heard
    again = [record("start", 1, epoch=2)] if cut == 2 else []
    await hear(heard, *again, record("stdout", 2, listed("one", "two"), epoch=2))
    assert texts(house) == [("one", ""), ("two", "")]


async def test_what_a_transcript_has_behind_the_end_of_its_turn_is_of_none(house: House, tmp_path: Path) -> None:
    """It told all by itself, so that nothing is missing when it is cut off while it is idle."""
    told = [{"type": "system", "subtype": "init", "uuid": "t"}, {"type": "result", "uuid": "r"}]
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    await hear(heard, record("start", 1), *(record("stdout", seq, encode(each)) for seq, each in enumerate(told, 2)))
    await hear(heard, record("transcript", 4, BEFORE), record("stdout", 5, BEFORE), record("transcript", 6, BEFORE))
    await hear(heard, record("exit", 7, LOST))
    assert texts(house) == [("before", "")]


def answered(place: int, words: str) -> bytes:
    """Of one answer."""
    said = {"id": "m", "content": [{"type": "text", "text": words}]}
    return encode({"type": "assistant", "uuid": words.split()[0], "apiBlockIndex": place, "message": said}) + b"\n"


async def test_what_is_typed_when_nobody_hears_it_begins_no_turn(house: House, tmp_path: Path) -> None:
    """Its end would never be told, and the agent be at work for ever; the words are there."""
    heard = hearing(house, tools(house, tmp_path, ClaudeCode()))
    started = record("start", 1, encode({"note": {"on_terminal": True}}) + b"\n")
    typed = line("user", "hi", entrypoint="cli", promptSource="typed", promptId="p", uuid="u", sessionId="c")
    await hear(heard, started, record("exit", 2, LOST), record("transcript", 3, typed))
    assert texts(house) == [("hi", "")]
    assert heard.live.turn == ""
    uid = house.feed.state.agent("demo", "claude-1").uid
    assert not house.feed.state.conversations[uid].turn


def completed(words: str) -> bytes:
    """By Codex."""
    params = {"threadId": "thread", "turnId": "t", "item": {"type": "agentMessage", "id": words, "text": words}}
    return encode({"method": "item/completed", "params": params})


def listed(*there: str) -> bytes:
    """By Codex, which was asked what is there, the oldest first."""
    (asked,) = Codex().look_up("thread", "", "r")
    items = [{"type": "agentMessage", "id": words, "text": words} for words in reversed(there)]
    data = [{"turnId": "t", "item": item} for item in items]
    return encode({"id": json.loads(asked)["id"], "result": {"data": data}})


def texts(house: House) -> list[tuple[str, str]]:
    """All that is told, and of which message."""
    return [(block["text"], block.get("message", "")) for block in blocks(house) if block["kind"] == "text"]


def blocks(house: House) -> list[dict[str, Any]]:
    return [block for each in house.log.read(0) for block in each.data.get("blocks", ())]


OWN = {"id": "thread/start  open-1", "result": {"thread": {"id": "own"}}}


def piece(conversation: str, words: str) -> dict[str, Any]:
    params = {"threadId": conversation, "turnId": "t", "itemId": f"item of {conversation}", "delta": words}
    return {"method": "item/agentMessage/delta", "params": params}


def streamed(parent: str, words: str) -> dict[str, Any]:
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": words}}
    return {"type": "stream_event", "parent_tool_use_id": parent, "api_message_id": f"m{parent}", "event": event}


@pytest.mark.parametrize(
    ("harness", "lines"),
    [
        (Codex(), [OWN, piece("helper", "I help."), piece("own", "I look.")]),
        (ClaudeCode(), [{"type": "system", "subtype": "init"}, streamed("c-1", "I help."), streamed("", "I look.")]),
    ],
    ids=["codex", "claude-code"],
)
async def test_what_helpers_are_just_saying_is_not_shown(
    house: House, tmp_path: Path, harness: Harness, lines: list[dict[str, Any]]
) -> None:
    """In a conversation of their own, or within a tool call: it is not what the agent says."""
    used = tools(house, tmp_path, harness)
    heard = hearing(house, used)
    said = [record("stdout", seq, encode(line) + b"\n") for seq, line in enumerate(lines, 2)]
    await hear(heard, record("start", 1), said[0])
    await hear(heard, *said[1:])
    following = used.deltas.follow(house.feed.state.agent("demo", "claude-1").uid, lambda _: True)
    assert (await anext(following)).text == "I look."
