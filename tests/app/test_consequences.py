"""What follows from a program's lines, its start and its end, for messages, conversations and approvals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.app.house import House, create, plain
from tests.app.one_agent import ASKED, BEGUN, ENTERED, TAKEN, WHOSE, refused, states, topics
from tests.app.talking import FIRST, answered, line, program_ended, program_started, say, with_first
from vibespace.app import agents, messages, settings, transcripts
from vibespace.app.transcripts import Line
from vibespace.domain.approvals import EXPIRED, Approval
from vibespace.domain.messages import ACKNOWLEDGED, DONE, HANDED, QUEUED, Message
from vibespace.domain.transcripts import Place


@pytest.fixture(autouse=True)
async def demo(house: House) -> None:
    await house.ask(create())


async def test_what_was_handed_waits_again_when_the_program_ends(house: House) -> None:
    """With what it had taken up the next program goes on; what it had only been handed is said to that."""
    for text in ("one", "two", "three"):
        await house.ask(say(text=text))
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(line(*WHOSE, BEGUN, TAKEN))
    uid = house.feed.state.agent(*WHOSE).uid
    second = list(house.feed.state.messages[uid].values())[1]
    await house.ask(partial(messages.hand_message, message=second))
    assert states(house) == [ACKNOWLEDGED, HANDED, QUEUED]
    before = house.log.position
    await house.ask(program_ended(*WHOSE))
    assert states(house) == [QUEUED] * 3
    assert sorted(topics(house, before)) == [
        "conversation.turn_ended",
        "conversation.work_ended",
        "message.queued_again",
        "message.resumed",
        "transcript.program_ended",
    ]


async def test_what_a_turn_took_and_did_not_repeat_is_over_with_it(house: House) -> None:
    """Its end is the message's, and the next one is not waited for in vain; that one the turn says nothing of."""
    said = await house.ask(say(text="/help", is_command=True))
    await house.ask(say(text="next"))
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    over = {"kind": "turn_ended", "turn": "t", "reason": "failed", "detail": "no", "message": FIRST}
    await house.ask(line(*WHOSE, BEGUN, over))
    assert states(house) == [QUEUED]
    done = house.feed.state.gone[said.uid].aggregate
    assert isinstance(done, Message)
    assert (done.state, done.reason) == (DONE, "failed: no")


async def test_only_what_was_sent_through_here_is_told_as_a_message(house: House) -> None:
    """By its uid, also where the program is to go on with it; an id that the program gave to what was typed is none."""
    said = await house.ask(say())
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(line(*WHOSE, ENTERED, BEGUN, TAKEN, {**TAKEN, "message": "b4d5340d-42da-4bbf-8d49-55f2c80f8a15"}))
    await house.ask(program_ended(*WHOSE))
    [message] = house.feed.state.messages[house.feed.state.agent(*WHOSE).uid].values()
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(line(*WHOSE, BEGUN, {**TAKEN, "message": message.delivery}))
    lines = [recorded.data["blocks"] for recorded in house.log.read(0) if recorded.topic == "transcript.line_read"]
    told = [block.get("message") for blocks in lines for block in blocks if block["kind"] == "text"]
    assert told == [str(said.uid), None, str(said.uid)]
    assert states(house) == [ACKNOWLEDGED]


async def test_what_is_taken_up_where_the_program_was_is_over_with_that_turn(house: House) -> None:
    """A person took the program elsewhere while it was handed on: it is not said again, and no other turn ends it."""
    said = await house.ask(say())
    await house.ask(say(text="next"))
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ENTERED))
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(line(*WHOSE, {**ENTERED, "conversation": "s2"}))
    former, there = {"conversation": "s1", "turn": "t"}, {"conversation": "s2", "turn": "u"}
    await house.ask(line(*WHOSE, {**BEGUN, **former}, {**TAKEN, **former}))
    await house.ask(line(*WHOSE, {**BEGUN, **there}))
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "reason": "completed", **there}))
    assert states(house) == [ACKNOWLEDGED, QUEUED]
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "reason": "failed", "detail": "no", **former}))
    assert states(house) == [QUEUED]
    done = house.feed.state.gone[said.uid].aggregate
    assert isinstance(done, Message)
    assert (done.state, done.turn, done.reason) == (DONE, "t", "failed: no")


async def test_the_same_line_twice_is_no_news(house: House) -> None:
    """Nothing follows from it again; one that does not go on from where the transcript ends is refused."""
    await house.ask(program_started())
    uid = house.feed.state.agent(*WHOSE).uid
    told = Line(Place(1, 2), Place(1, 1), "stdout", "{}", [BEGUN, ASKED], [BEGUN, ASKED])
    await house.ask(partial(transcripts.take_line, agent_uid=uid, line=told))
    await house.ask(answered(*WHOSE))
    before = house.log.position
    await house.ask(partial(transcripts.take_line, agent_uid=uid, line=told))
    assert house.log.position == before
    beyond = replace(told, place=Place(1, 5), after=Place(1, 4))
    assert (await refused(house, partial(transcripts.take_line, agent_uid=uid, line=beyond))).reason == (
        "TRANSCRIPT_MOVED"
    )


async def test_nothing_follows_from_a_line_that_is_kept_alone(house: House) -> None:
    """The history has it, and that is all."""
    await house.ask(program_started())
    before = house.log.position
    await house.ask(line(*WHOSE, BEGUN, ASKED, alone=True))
    assert topics(house, before) == ["transcript.line_read"]


@pytest.mark.parametrize("how_often", [1, 2, 3])
async def test_a_line_may_switch_conversations_more_than_once(house: House, how_often: int) -> None:
    """The last is current, those before it are over, and the writer goes on."""
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ENTERED))
    await house.ask(line(*WHOSE, *({**ENTERED, "conversation": f"n{n}"} for n in range(how_often))))
    [current] = house.feed.state.conversations.values()
    assert current.program_session == f"n{how_often - 1}"
    assert plain(house.feed.state) == plain(house.log.fold())
    assert plain(house.written) == plain(house.feed.state)


async def test_what_is_asked_and_over_in_one_line_does_not_wait(house: House) -> None:
    """Nobody is shown a decision that nobody waits for."""
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ASKED, {"kind": "approval_cancelled", "request": "r"}))
    assert house.feed.state.approvals == {}


async def test_what_is_asked_under_a_name_again_is_another(house: House) -> None:
    """It has an id of its own, however long ago the first was."""
    await house.ask(program_started())
    uids: list[UUID] = []
    for _ in range(2):
        await house.ask(line(*WHOSE, ASKED))
        [waiting] = house.feed.state.approvals.values()
        uids += waiting
        await house.ask(line(*WHOSE, {"kind": "approval_answered", "request": "r", "allowed": True}))
        assert house.feed.state.approvals == {}
    assert len(set(uids)) == 2


async def test_what_is_asked_anew_waits_once(house: House) -> None:
    """A program that lost who it asked asks again under the same name: the first question is over."""
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ASKED))
    [[first]] = house.feed.state.approvals.values()
    await house.ask(line(*WHOSE, ASKED))
    [[second]] = house.feed.state.approvals.values()
    assert first != second
    told = house.feed.state.gone[first].aggregate
    assert isinstance(told, Approval)
    assert told.state == EXPIRED


async def test_nothing_waits_for_a_program_whose_end_nobody_saw(house: House) -> None:
    """What it asked is expired, although no line says so."""
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ASKED))
    await house.ask(program_ended(*WHOSE, lost=True))
    assert house.feed.state.approvals == {}


async def test_a_program_of_a_former_conversation_takes_nobody_back(house: House) -> None:
    """It is about to end; what it still tells of that one is none of the conversation that was asked for."""
    await house.ask(say())
    uid = house.feed.state.agent(*WHOSE).uid
    former = house.feed.state.conversations[uid]
    over = {"kind": "turn_ended", "turn": "t", "reason": "completed"}
    for command in (
        program_started(conversation=former.uid),
        line(*WHOSE, ENTERED, BEGUN, TAKEN, over, {"kind": "work_ended"}),
        partial(messages.new_conversation, vibespace="demo", agent="claude-1"),
        line(*WHOSE, ENTERED, BEGUN),
    ):
        await house.ask(command)
    asked_for = house.feed.state.conversations[uid]
    assert (asked_for.uid == former.uid, asked_for.begun, asked_for.working) == (False, False, False)
    for command in (program_started(conversation=asked_for.uid), line(*WHOSE, ENTERED, BEGUN)):
        await house.ask(command)
    entered = house.feed.state.conversations[uid]
    assert (entered.uid, entered.begun, entered.working) == (asked_for.uid, True, True)


SECRET = "k-of-the-mill"
NOTED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"conversation": "c", "resumed": True, "keys": ["k"]}, {"conversation": "c", "resumed": True, "keys": ["k"]}),
    ({"conversation": ["c"], "resumed": 1, "on_terminal": "yes", "keys": [[]]}, {}),
    ({"conversation": "c" * (settings.LONGEST + 1), "keys": ["c" * settings.LONGEST, "c"]}, {}),
    ({"conversation": f"of {SECRET}", "keys": [SECRET]}, {"conversation": "of ***", "keys": ["***"]}),
    ({"settings": [1]}, {}),
    ({"settings": {"max_turns": "x", "allowed_tools": [[1]], "model": 7, "skip_permissions": 1, "what": "x"}}, {}),
    ({"settings": {"max_turns": 1 << 31, "effort": "e" * (settings.LONGEST + 1)}}, {}),
    ({"settings": {"max_turns": True, "model": "m"}}, {"settings": {"model": "m"}}),
    (
        {"settings": {"model": SECRET, "allowed_tools": [SECRET]}},
        {"settings": {"model": "***", "allowed_tools": ["***"]}},
    ),
    ({"settings": {"system_prompt": f"keep {SECRET}"}}, {"settings": {"system_prompt": f"keep {SECRET}"}}),
]


@pytest.mark.parametrize(("noted", "expected"), NOTED)
async def test_a_journal_is_not_believed_in_how_a_program_was_started(
    tmp_path: Path, noted: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What cannot be so is not kept, and no secret value but where the agent's own settings have it."""
    house = House(tmp_path / "another.db", lambda text: text.replace(SECRET, "***"))
    await house.open()
    await house.ask(create())
    prompt = {"system_prompt": f"keep {SECRET}"}
    await house.ask(partial(agents.change_agent, vibespace="demo", name="claude-1", settings=prompt, fields=[*prompt]))
    await house.ask(program_started(**noted))
    transcript = house.feed.state.transcript(house.feed.state.agent(*WHOSE).uid)
    assert transcript
    plainly = {"conversation": "", "resumed": False, "on_terminal": False, "keys": [], "settings": {}}
    assert {name: getattr(transcript, name) for name in plainly} == plainly | expected
    await house.close()


async def test_a_journal_is_not_believed_in_how_a_program_ended(house: House) -> None:
    """What is no code, signal, or yes or no is not kept."""
    await house.ask(program_started())
    told: dict[str, Any] = {"code": True, "signal": 1 << 31, "memory": 1, "lost": True, "what": "x" * (1 << 20)}
    before = house.log.position
    await house.ask(program_ended(*WHOSE, **told))
    assert [recorded.data["how"] for recorded in house.log.read(before) if "how" in recorded.data] == [{"lost": True}]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"signal": 9}, "its program was killed by signal 9"),
        ({"signal": 9, "memory": True}, "its program was ended for want of memory"),
        ({"code": 1}, "its program ended with code 1"),
        ({"lost": True}, "its program went away"),
        ({"code": "\x1b[2J", "signal": [9]}, "its program went away"),
    ],
)
async def test_a_lost_turn_says_how_its_program_ended(house: House, how: dict[str, Any], words: str) -> None:
    """Whether the program's lines told of the loss, or nothing did. With a command no other program goes on."""
    lost = {"kind": "turn_ended", "turn": "t", "reason": "lost"}
    for blocks in ([], [lost]):
        said = await house.ask(say(*WHOSE, "/hi", is_command=True))
        await house.ask(program_started(*WHOSE))
        await house.ask(with_first(messages.hand_message, *WHOSE))
        await house.ask(line(*WHOSE, BEGUN, TAKEN))
        await house.ask(program_ended(*WHOSE, *blocks, **how))
        over = house.feed.state.gone[said.uid].aggregate
        assert isinstance(over, Message)
        assert (over.state, over.reason) == (DONE, f"lost: {words}")


async def test_a_turn_that_is_told_of_when_it_was_lost_is_gone_on_with(house: House) -> None:
    """By the program that tells of it: it was an earlier one's."""
    said = await house.ask(say(*WHOSE))
    await house.ask(program_started(*WHOSE))
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(line(*WHOSE, BEGUN, TAKEN, {"kind": "turn_ended", "turn": "t", "reason": "lost"}))
    found = house.feed.state.aggregates[said.uid]
    assert isinstance(found, Message)
    assert (found.state, found.resumed) == (QUEUED, True)
