"""Messages, conversations and approvals of an agent: what is refused, what follows from what, what goes with whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.app.house import ENGINE, House, add, agent_deleted, create, delete, plain
from tests.app.talking import (
    FIRST,
    answered,
    decide,
    line,
    program_ended,
    program_started,
    say,
    set_timeout,
    with_first,
)
from vibespace.app import agents, approvals, host, messages, settings, transcripts
from vibespace.app.messages import LONGEST, MOST_WAITING
from vibespace.app.transcripts import Line
from vibespace.app.writer import Command
from vibespace.domain.approvals import EXPIRED, Approval
from vibespace.domain.messages import ACKNOWLEDGED, DONE, FAILED, HANDED, QUEUED, UNCERTAIN, Message
from vibespace.domain.transcripts import Place
from vibespace.errors import Error, Exhausted

WHOSE = ("demo", "claude-1")
DELETED = "its agent was deleted"
ASKED: dict[str, Any] = {"kind": "approval_asked", "request": "r", "tool": "Bash", "input_hash": "h"}
ENTERED: dict[str, Any] = {"kind": "conversation_switched", "conversation": "s1"}
BEGUN: dict[str, Any] = {"kind": "turn_started", "turn": "t"}
TAKEN: dict[str, Any] = {"kind": "text", "message": FIRST, "turn": "t"}


@pytest.fixture(autouse=True)
async def demo(house: House) -> None:
    await house.ask(create())


def states(house: House) -> list[str]:
    """Of the messages that wait for the agent."""
    uid = house.feed.state.agent(*WHOSE).uid
    return [message.state for message in house.feed.state.messages.get(uid, {}).values()]


def topics(house: House, after: int) -> list[str]:
    return [recorded.topic for recorded in house.log.read(after)]


async def refused(house: House, command: Any) -> Error:
    """Why it is; nothing of it is in the log."""
    before = house.log.position
    with pytest.raises(Error) as e:
        await house.ask(command)
    assert house.log.position == before
    return e.value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "MESSAGE_EMPTY"),
        (" \n\t", "MESSAGE_EMPTY"),
        ("\ufeff \u200b", "MESSAGE_EMPTY"),
        ("a\0b", "MESSAGE_INVALID"),
        ("x" * (LONGEST + 1), "MESSAGE_TOO_LONG"),
        ("é" * (LONGEST // 2) + "x", "MESSAGE_TOO_LONG"),
    ],
    ids=["empty", "blank", "invisible", "NUL", "long", "long in bytes"],
)
async def test_what_is_no_message_is_refused(house: House, text: str, reason: str) -> None:
    """Nothing, NUL, and what is longer than 64 KiB as UTF-8; no conversation is begun by it."""
    error = await refused(house, say(text=text))
    assert (error.reason, error.field) == (reason, "text")


async def test_the_longest_message_is_taken_whole(house: House) -> None:
    """64 KiB, counted in bytes."""
    await house.ask(say(text="é" * (LONGEST // 2)))
    [[message]] = [list(held.values()) for held in house.feed.state.messages.values()]
    assert message.text == "é" * (LONGEST // 2)


async def test_so_many_wait_for_one_agent_and_no_more(house: House) -> None:
    """100 each; one that is over makes place for another, and other agents are not concerned."""
    await house.ask(add())
    for _ in range(MOST_WAITING):
        await house.ask(say())
    error = await refused(house, say())
    assert (type(error), error.reason) == (Exhausted, "TOO_MANY_MESSAGES")
    await house.ask(say(agent="claude-2"))
    await house.ask(with_first(messages.fail_message, *WHOSE, reason="no"))
    await house.ask(say())


async def test_nothing_is_said_to_who_cannot_hear(house: House) -> None:
    """No agent, one that is being deleted with or without its vibespace, and a machine at rest."""
    assert (await refused(house, say(agent="nobody"))).reason == "AGENT_NOT_FOUND"
    await house.ask(partial(host.initialize, engine=ENGINE, image="i"))
    await house.ask(host.rest)
    assert (await refused(house, say())).reason == "AT_REST"
    await house.ask(host.wake)
    await house.ask(add())
    await house.ask(partial(agents.delete_agent, vibespace="demo", name="claude-2"))
    assert (await refused(house, say(agent="claude-2"))).reason == "DELETING"
    await house.ask(say())
    await house.ask(delete())
    whose = partial(messages.want_terminal, vibespace="demo", agent="claude-1")
    for command in (say(), whose, partial(messages.new_conversation, vibespace="demo", agent="claude-1")):
        assert (await refused(house, command)).reason == "DELETING"


async def test_with_an_agent_goes_what_was_said_to_it_and_asked_by_it(house: House) -> None:
    """Its conversation, messages, approvals and transcript are in no table any more, and messages and approvals have an
    end in the history; those of others stay.
    """
    await house.ask(add())
    for agent in ("claude-1", "claude-2"):
        for command in (say(agent=agent), program_started(agent=agent), line("demo", agent, BEGUN, ASKED)):
            await house.ask(command)
        await house.ask(decide("demo", agent, "denied"))
    gone, stays = (house.feed.state.agent("demo", name).uid for name in ("claude-2", "claude-1"))
    uids = {uid for uid, found in house.feed.state.aggregates.items() if getattr(found, "agent_uid", "") == gone}
    assert len(uids) == 4
    await house.ask(agent_deleted("demo", "claude-2"))
    state = house.feed.state
    for table in (state.aggregates, state.positions, state.asked):
        assert uids.isdisjoint(table)
    over = [each.aggregate for uid, each in state.gone.items() if uid in uids]
    kinds = {type(each) for each in over if isinstance(each, Approval | Message) and each.reason == DELETED}
    assert (kinds, len(over)) == ({Approval, Message}, 2)
    assert [list(table) for table in (state.conversations, state.messages, state.approvals)] == [[stays]] * 3
    assert plain(state) == plain(house.log.fold())
    assert (await refused(house, line("demo", "claude-2", BEGUN))).reason == "AGENT_NOT_FOUND"


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


async def test_how_long_it_waits_is_as_it_was_set_when_it_was_asked(house: House) -> None:
    """Another time-out is for what is asked from then on; what is denied late is denied by whoever notices, once."""
    uid = house.feed.state.agent(*WHOSE).uid
    await house.ask(program_started())
    await house.ask(line(*WHOSE, {**ASKED, "request": "first"}))
    await house.ask(set_timeout(*WHOSE, "10m"))
    await house.ask(line(*WHOSE, ASKED))
    await house.ask(set_timeout(*WHOSE, "0"))
    first, second = house.feed.state.approvals[uid].values()
    assert (first.deadline, second.deadline) == (None, house.clock() + timedelta(minutes=10))
    out = partial(approvals.time_out, uid=second.id, agent_uid=uid)
    before = house.log.position
    await house.ask(out)
    assert house.log.position == before
    house.clock.forward(minutes=10)
    allow = partial(approvals.decide, approval_id=second.uid, verdict="allowed")
    assert (await refused(house, allow)).reason == "APPROVAL_TIMED_OUT"
    await house.ask(out)
    assert (await refused(house, allow)).reason == "APPROVAL_DECIDED"
    await house.ask(out)
    assert topics(house, before) == ["approval.decided"]
    assert house.feed.state.approvals[uid][second.id].deadline is None


async def test_interrupting_touches_nothing_that_waits(house: House) -> None:
    """Of an agent that works on nothing it is refused: what was said to it is others', who wait for their answer."""
    interrupt = partial(messages.interrupt, vibespace="demo", agent="claude-1")
    assert (await refused(house, interrupt)).reason == "NO_CONVERSATION"
    await house.ask(say())
    await house.ask(program_started(on_terminal=True))
    assert (await refused(house, interrupt)).reason == "AGENT_IDLE"
    await house.ask(line(*WHOSE, ENTERED, BEGUN))
    for _ in range(2):
        await house.ask(interrupt)
    assert states(house) == [QUEUED]


@pytest.mark.parametrize("minutes", [10, -10])
async def test_who_insists_later_is_heard(house: House, minutes: int) -> None:
    """By an interrupt, and by taking over for a terminal; also where the clock was set back meanwhile."""
    interrupt = partial(messages.interrupt, vibespace="demo", agent="claude-1")
    take_over = partial(messages.want_terminal, vibespace="demo", agent="claude-1", takes_over=True)
    for command in (say(), program_started(), line(*WHOSE, BEGUN), interrupt, interrupt):
        await house.ask(command)
    conversation = house.feed.state.conversations[house.feed.state.agent(*WHOSE).uid]
    assert not conversation.insisted
    house.clock.forward(minutes=minutes)
    await house.ask(take_over if minutes > 0 else interrupt)
    assert house.feed.state.conversations[conversation.agent_uid].insisted


async def test_interrupting_ends_the_program_that_was_handed_a_message(house: House) -> None:
    """It may begin with that at any moment: the message is interrupted, what waits stays, the next program lives."""
    said, _ = await house.ask(say()), await house.ask(say(text="two"))
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(partial(messages.interrupt, vibespace="demo", agent="claude-1"))
    over = _over(house, said.uid)
    assert (over.state, over.reason, states(house)) == (DONE, "interrupted", [QUEUED])
    [conversation] = house.feed.state.conversations.values()
    assert conversation.insisted
    await house.ask(line(*WHOSE, BEGUN))
    await house.ask(program_ended(*WHOSE))
    [conversation] = house.feed.state.conversations.values()
    assert (conversation.insisted, conversation.working) == (False, False)


async def test_interrupting_ends_what_the_next_program_would_go_on_with(house: House) -> None:
    """It is at work, though for the moment nobody works on it; the next program is for what else there is."""
    said = await house.ask(say())
    for command in (
        with_first(messages.hand_message, *WHOSE),
        program_started(),
        line(*WHOSE, ENTERED, BEGUN, TAKEN),
        program_ended(*WHOSE),
        partial(messages.interrupt, vibespace="demo", agent="claude-1"),
    ):
        await house.ask(command)
    over = _over(house, said.uid)
    [conversation] = house.feed.state.conversations.values()
    assert (over.state, over.reason, conversation.insisted) == (DONE, "interrupted", False)


async def test_what_is_gone_is_not_kept_by_who_asked(house: House) -> None:
    """Nothing of a message that a request ended, or of a conversation, is left but the memory of the deletion."""
    await house.ask(say())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(partial(messages.interrupt, vibespace="demo", agent="claude-1"))
    await house.ask(partial(messages.new_conversation, vibespace="demo", agent="claude-1"))
    state = house.feed.state
    assert set(state.asked) <= set(state.aggregates)


async def test_the_first_decision_holds(house: House) -> None:
    """Another one is refused, and so is one about another input, or for longer where there is no rule."""
    await house.ask(program_started())
    await house.ask(line(*WHOSE, ASKED))
    assert (await refused(house, decide(*WHOSE, input_hash="other"))).reason == "INPUT_CHANGED"
    assert (await refused(house, decide(*WHOSE, always=True))).reason == "RULES_MISSING"
    await house.ask(decide(*WHOSE, input_hash="h"))
    assert (await refused(house, decide(*WHOSE, "denied"))).reason == "APPROVAL_DECIDED"
    await house.ask(answered(*WHOSE))
    assert house.feed.state.approvals == {}


async def test_what_leads_to_less_is_decided_on_a_full_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is told, work ended, a message withdrawn and a program's end noted; nothing is begun or said."""
    for command in (say(), program_started(), line(*WHOSE, ENTERED, BEGUN, ASKED), decide(*WHOSE)):
        await house.ask(command)
    agent = house.feed.state.agent(*WHOSE)
    [approval] = house.feed.state.approvals[agent.uid].values()
    [message] = house.feed.state.messages[agent.uid].values()
    begun: list[Command] = [
        say(),
        partial(messages.want_terminal, vibespace="demo", agent="claude-1"),
        partial(messages.hand_message, message=message),
        partial(transcripts.take_settings, agent_uid=agent.uid, settings={"model": "m"}),
    ]
    last = Line(Place(1, 3), Place(1, 2), "exit", "", (), ())
    ended: list[Command] = [
        partial(approvals.answered, uid=approval.id, agent_uid=agent.uid),
        partial(messages.interrupt, vibespace="demo", agent="claude-1"),
        partial(messages.leave_terminal, vibespace="demo", agent="claude-1"),
        partial(messages.fail_message, message=message, reason="no"),
        partial(messages.withdraw, agent_uid=agent.uid, reason="no"),
        partial(transcripts.end_program, agent_uid=agent.uid, line=last, how={"code": 0}),
    ]
    monkeypatch.setattr(house.log.reserve, "has_room", lambda: False)
    for command in begun:
        assert (await refused(house, command)).reason == "DISK_FULL"
    for command in ended:
        await house.ask(command)
    state = house.feed.state
    assert (state.messages, state.approvals, state.conversations[agent.uid].working) == ({}, {}, False)
    assert plain(state) == plain(house.log.fold())


async def test_a_program_of_a_former_conversation_takes_nobody_back(house: House) -> None:
    """It is about to end; what it still tells of that one is none of the conversation that was asked for."""
    await house.ask(say())
    uid = house.feed.state.agent(*WHOSE).uid
    former = house.feed.state.conversations[uid]
    for command in (
        program_started(conversation=former.uid),
        line(*WHOSE, ENTERED, BEGUN, TAKEN, {"kind": "turn_ended", "turn": "t"}, {"kind": "work_ended"}),
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


async def test_what_a_program_may_work_on_is_uncertain_when_it_is_given_up(house: House) -> None:
    """What waits is refused, in words; of what was handed nobody knows; whoever has the terminal keeps it."""
    for command in (say(), with_first(messages.hand_message, *WHOSE), program_started(on_terminal=True)):
        await house.ask(command)
    for command in (say(), say()):
        await house.ask(command)
    uid = house.feed.state.agent(*WHOSE).uid
    said = list(house.feed.state.messages[uid])
    await house.ask(partial(messages.withdraw, agent_uid=uid, reason="it is not reached"))
    ends = [(over.state, over.reason) for each in said if (over := _over(house, each))]
    assert ends == [(UNCERTAIN, ""), (FAILED, "it is not reached"), (FAILED, "it is not reached")]
    assert house.feed.state.conversations[uid].on_terminal


async def test_what_a_program_has_taken_up_ends_with_its_turn(house: House) -> None:
    """Also when the program is given up meanwhile: it is known to have it, and is heard again."""
    for command in (say(), with_first(messages.hand_message, *WHOSE), program_started()):
        await house.ask(command)
    await house.ask(line(*WHOSE, ENTERED, BEGUN, TAKEN))
    uid = house.feed.state.agent(*WHOSE).uid
    [said] = house.feed.state.messages[uid]
    await house.ask(partial(messages.withdraw, agent_uid=uid, reason="it is not reached"))
    assert states(house) == [ACKNOWLEDGED]
    await house.ask(line(*WHOSE, {"kind": "turn_ended", "turn": "t", "reason": "completed"}))
    assert (_over(house, said).state, _over(house, said).reason) == (DONE, "completed")


async def test_nothing_waits_for_a_decision_while_its_agent_is_stopped(house: House) -> None:
    """Its end is heard of at its next start alone; until then somebody could decide for nobody."""
    for command in (say(), program_started(), line(*WHOSE, ENTERED, BEGUN, ASKED)):
        await house.ask(command)
    agent = house.feed.state.agent(*WHOSE)
    for state, left in (("failed", 1), ("stopped", 0)):
        observed = partial(agents.observe_agent, vibespace="demo", name="claude-1", state=state)
        await house.ask(partial(observed, generation=1, vibespace_generation=1))
        assert len(house.feed.state.approvals.get(agent.uid, {})) == left


def _over(house: House, message: UUID) -> Message:
    over = house.feed.state.gone[message].aggregate
    assert isinstance(over, Message)
    return over


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
