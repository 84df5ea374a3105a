"""Messages, conversations and approvals of an agent, as people have a say: what is refused, and what goes with whom."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from tests.app.house import ENGINE, House, add, agent_deleted, create, delete, plain
from tests.app.one_agent import ASKED, BEGUN, ENTERED, TAKEN, WHOSE, gone_message, refused, states, topics
from tests.app.talking import answered, decide, line, program_ended, program_started, say, set_timeout, with_first
from vibespace.app import agents, approvals, host, messages, transcripts
from vibespace.app.messages import LONGEST, MOST_WAITING
from vibespace.app.transcripts import Line
from vibespace.app.writer import Command
from vibespace.domain.approvals import Approval
from vibespace.domain.messages import ACKNOWLEDGED, DONE, FAILED, HANDED, QUEUED, UNCERTAIN, Message
from vibespace.domain.transcripts import Place
from vibespace.errors import Exhausted

DELETED = "its agent was deleted"


@pytest.fixture(autouse=True)
async def demo(house: House) -> None:
    await house.ask(create())


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


@pytest.mark.parametrize("taken_up", [False, True])
async def test_two_who_interrupt_at_once_end_one_turn(house: House, taken_up: bool) -> None:
    """The second is the same word, though by then the program was handed what waited, or works on it: that goes on."""
    interrupt = partial(messages.interrupt, vibespace="demo", agent="claude-1")
    await house.ask(say())
    hand = with_first(messages.hand_message, *WHOSE)
    over = line(*WHOSE, {"kind": "turn_ended", "turn": "t", "reason": "interrupted", "message": TAKEN["message"]})
    begun = line(*WHOSE, ENTERED, BEGUN, TAKEN)
    for command in (program_started(), hand, begun, say(text="next"), interrupt, over, hand):
        await house.ask(command)
    if taken_up:
        await house.ask(line(*WHOSE, {**BEGUN, "turn": "u"}))
    before = house.feed.state.position
    await house.ask(interrupt)
    assert (house.feed.state.position, states(house)) == (before, [HANDED])
    house.clock.forward(seconds=1)
    await house.ask(interrupt)
    [conversation] = house.feed.state.conversations.values()
    assert (conversation.interrupted, conversation.insisted) == (("u", False) if taken_up else ("", True))


async def test_interrupting_ends_the_program_that_was_handed_a_message(house: House) -> None:
    """It may begin with that at any moment: the message is interrupted, what waits stays, the next program lives."""
    said, _ = await house.ask(say()), await house.ask(say(text="two"))
    await house.ask(program_started())
    await house.ask(with_first(messages.hand_message, *WHOSE))
    await house.ask(partial(messages.interrupt, vibespace="demo", agent="claude-1"))
    over = gone_message(house, said.uid)
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
    over = gone_message(house, said.uid)
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


async def test_what_a_program_may_work_on_is_uncertain_when_it_is_given_up(house: House) -> None:
    """What waits is refused, in words; of what was handed nobody knows; whoever has the terminal keeps it."""
    for command in (say(), with_first(messages.hand_message, *WHOSE), program_started(on_terminal=True)):
        await house.ask(command)
    for command in (say(), say()):
        await house.ask(command)
    uid = house.feed.state.agent(*WHOSE).uid
    said = list(house.feed.state.messages[uid])
    await house.ask(partial(messages.withdraw, agent_uid=uid, reason="it is not reached"))
    ends = [(over.state, over.reason) for each in said if (over := gone_message(house, each))]
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
    assert (gone_message(house, said).state, gone_message(house, said).reason) == (DONE, "completed")


async def test_nothing_waits_for_a_decision_while_its_agent_is_stopped(house: House) -> None:
    """Its end is heard of at its next start alone; until then somebody could decide for nobody."""
    for command in (say(), program_started(), line(*WHOSE, ENTERED, BEGUN, ASKED)):
        await house.ask(command)
    agent = house.feed.state.agent(*WHOSE)
    for state, left in (("failed", 1), ("stopped", 0)):
        observed = partial(agents.observe_agent, vibespace="demo", name="claude-1", state=state)
        await house.ask(partial(observed, generation=1, vibespace_generation=1))
        assert len(house.feed.state.approvals.get(agent.uid, {})) == left
