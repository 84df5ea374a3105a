"""Which of its threads Codex is in: the agent's, a person's beside it, its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.codex_frames import CODEX, STARTED, ended, question, sent, told
from vibespace.harness.codex_threads import MOST_THREADS
from vibespace.harness.events import (
    ApprovalCancelled,
    ConversationJoined,
    ConversationSwitched,
    Event,
    Replied,
    TurnEnded,
    TurnStarted,
    Unparsed,
    WorkEnded,
)
from vibespace.harness.reading import encode


def test_whoever_enters_another_thread_takes_the_agent_there() -> None:
    """Whether it was there before or not; into its helpers' and its own only the person goes."""
    helper = {"method": "thread/started", "params": {"thread": {"id": "c-3", "parentThreadId": "c-1"}}}

    def entered(name: str, how: str = "cleared") -> dict[str, Any]:
        return {"method": f"thread/goal/{how}", "params": {"threadId": name}}

    steps = (entered("c-1"), entered("c-2", "updated"), helper, entered("c-3"), entered("c-2"), entered("c-1"))
    switched = [event.conversation for event in told(*steps) if isinstance(event, ConversationSwitched)]
    assert switched == ["c-1", "c-2", "c-1"]


def test_threads_of_its_own_are_told_apart() -> None:
    """A thread that finds a title is no switch, and a turn of it ends no other."""
    title = {"method": "thread/started", "params": {"thread": {"id": "c-9", "ephemeral": True}}}
    other = {"method": "turn/completed", "params": {"threadId": "c-9", "turn": {"id": "t-9", "status": "completed"}}}
    events = told(STARTED, title, other)
    assert [event.conversation for event in events if isinstance(event, TurnEnded)] == ["c-9"]
    assert not any(isinstance(event, ConversationSwitched) for event in events)


def test_a_closed_thread_leaves_nothing_open() -> None:
    """What was under way in it is over, and told once."""
    parser = CODEX.parser()
    closed = {"method": "thread/closed", "params": {"threadId": "c-1"}}
    for frame in (STARTED, question(1)):
        parser.feed(encode(frame))
    events = parser.feed(encode(closed))
    assert [type(event) for event in events] == [ApprovalCancelled, TurnEnded, WorkEnded]
    assert parser.feed(encode(closed)) == parser.lost() == ()


def test_one_thread_too_many_is_not_kept() -> None:
    """Those with nothing under way make room for others, and those that are at work do not."""
    parser = CODEX.parser()
    events: list[Event] = []
    for number in range(2 * MOST_THREADS):
        for frame in (STARTED, ended()):
            events += parser.feed(encode({**frame, "params": {**frame["params"], "threadId": f"idle-{number}"}}))
    assert not any(isinstance(event, Unparsed) for event in events)
    for number in range(MOST_THREADS + 1):
        events += parser.feed(encode(question(number, f"busy-{number}")))
    assert isinstance(events[-1], Unparsed)
    assert events[-1].request == str(MOST_THREADS)
    assert len([event for event in parser.lost() if isinstance(event, ApprovalCancelled)]) == MOST_THREADS


def test_a_reply_makes_no_thread() -> None:
    """What is not under way does not become so by the end of what ran there."""
    parser = CODEX.parser()
    name = sent(CODEX.interrupt("c-1", "t-1", "r-1")[1])["id"]
    assert parser.feed(encode({"id": name, "result": {}})) == (Replied(id=name, request="r-1", conversation="c-1"),)
    state = parser.state()
    assert state
    assert state["threads"] == {}


def test_a_person_begins_another_thread() -> None:
    """What is begun on the attached terminal is a switch."""
    events = told({"method": "thread/started", "params": {"thread": {"id": "c-2", "ephemeral": False}}})
    assert events == [ConversationSwitched(id="c-2", conversation="c-2", previous="")]


def entered(name: str) -> dict[str, Any]:
    return {"method": "thread/goal/cleared", "params": {"threadId": name, "turnId": None}}


def of(name: str, frame: dict[str, Any]) -> dict[str, Any]:
    """The same, in that thread, as a turn of that."""
    told = json.loads(json.dumps(frame).replace("c-1", name).replace("t-1", f"t of {name}"))
    assert isinstance(told, dict)
    return told


def test_amid_a_turn_a_person_goes_alone() -> None:
    """The agent follows when its turn is over, and is at work if something is under way there by then."""
    events = told(entered("c-1"), STARTED, entered("c-2"), entered("c-2"), of("c-2", STARTED), ended())
    assert [type(event) for event in events] == [
        ConversationSwitched,
        TurnStarted,
        ConversationJoined,
        TurnStarted,
        TurnEnded,
        WorkEnded,
        ConversationSwitched,
        TurnStarted,
    ]
    assert [event.conversation for event in events[-4:]] == ["c-1", "c-1", "c-2", "c-2"]
    assert (events[-1].id, events[-1].turn) == ("t of c-2", "t of c-2")


@pytest.mark.parametrize(
    ("frames", "where"),
    [
        ([entered("c-2"), entered("c-3"), of("c-2", STARTED), ended()], "c-3"),
        ([entered("c-2"), of("c-2", STARTED), of("c-2", ended()), ended()], "c-2"),
        ([entered("c-2"), entered("c-1"), ended()], "c-1"),
        ([entered("c-2"), of("c-2", STARTED), of("c-2", ended())], "c-1"),
        ([entered("c-2"), {"method": "thread/closed", "params": {"threadId": "c-1"}}], "c-2"),
    ],
    ids=["onward", "at work there", "back again", "still at work", "closed"],
)
def test_the_agent_is_where_its_turn_is_and_then_where_the_person_is(frames: list[dict[str, Any]], where: str) -> None:
    """Also when a daemon begins anew amid it."""
    parser = CODEX.parser()
    events: list[Event] = []
    for frame in (entered("c-1"), STARTED, *frames):
        events += parser.feed(encode(frame))
        state = parser.state()
        assert state is not None
        parser = CODEX.parser()
        parser.restore(json.loads(json.dumps(state)))
    assert [event.conversation for event in events if isinstance(event, ConversationSwitched)][-1] == where


def test_a_program_that_ends_amid_a_turn_takes_nobody_elsewhere() -> None:
    """The next one goes on with that turn, where it was."""
    parser = CODEX.parser()
    for frame in (entered("c-1"), STARTED, entered("c-2")):
        parser.feed(encode(frame))
    assert [type(event) for event in parser.lost()] == [TurnEnded, WorkEnded]
