"""What was said in Codex's conversations when nobody heard it: it lists what is there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.codex_frames import notified, replied
from vibespace.harness.base import Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Event, Replied, Text, ToolCall, ToolResult, TurnEnded, TurnStarted, WorkEnded

Item = dict[str, Any]
RUN: Item = {"type": "commandExecution", "id": "c", "command": "ls", "status": "completed", "exitCode": 0}
ONE, TWO, THREE = ({"type": "agentMessage", "id": f"m-{words}", "text": words} for words in ("one", "two", "three"))


@pytest.fixture
def parser() -> CodexParser:
    return CodexParser()


def completed(parser: CodexParser, item: Item, turn: str = "t") -> list[Event]:
    return notified(parser, "item/completed", turnId=turn, item=item)


def listed(parser: CodexParser, *there: Item, message: str = "") -> list[Event]:
    """What it makes of a list of these, the oldest first."""
    (asked,) = Codex().look_up("thread", message, "r")
    data = [{"turnId": "t", "item": item} for item in reversed(there)]
    *events, _ = replied(parser, asked, data=data)
    return events


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Text)]


def test_what_comes_after_the_last_that_was_told(parser: CodexParser) -> None:
    """By this process or the one before, and each once: it may be told to be over after it was listed."""
    completed(parser, ONE)
    after = parser.next()
    assert texts(listed(after, ONE, TWO)) == ["two"]
    assert completed(after, TWO) == []
    assert texts(completed(after, THREE)) == ["three"]
    assert listed(after, ONE, TWO, THREE) == []


def test_where_nothing_is_known_nothing_is_told_again(parser: CodexParser) -> None:
    """It may have been told before; what comes after that is news."""
    assert listed(parser, ONE, TWO) == []
    assert texts(listed(parser.next(), ONE, TWO, THREE)) == ["three"]


def test_what_a_person_has_just_begun_is_all_news(parser: CodexParser) -> None:
    """Once, also where the process that saw it begin told nothing of it."""
    for _ in range(2):
        notified(parser, "thread/started", thread={"id": "thread"})
    after = parser.next()
    assert texts(listed(after, ONE, TWO)) == ["one", "two"]
    assert listed(after.next(), ONE, TWO) == []


def test_a_state_knows_what_was_told(parser: CodexParser) -> None:
    notified(parser, "thread/started", thread={"id": "thread"})
    listed(parser, ONE)
    again, state = CodexParser(), parser.state()
    assert state
    again.restore(state)
    assert completed(again, ONE) == []
    assert texts(listed(again, ONE, TWO)) == ["two"]


def test_calls_are_known_by_their_turn_as_well(parser: CodexParser) -> None:
    """Some models number them anew in each."""
    notified(parser, "thread/started", thread={"id": "thread"})
    assert [type(event) for event in listed(parser, RUN)] == [ToolCall, ToolResult]
    assert [type(event) for event in completed(parser, RUN, "t-2")] == [ToolCall, ToolResult]


def test_a_call_that_was_begun_is_over_by_the_list(parser: CodexParser) -> None:
    """And with it what was at work."""
    completed(parser, ONE)
    notified(parser, "turn/started", turn={"id": "t"})
    notified(parser, "item/started", turnId="t", item={**RUN, "status": "inProgress"})
    notified(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert [type(event) for event in listed(parser, ONE, RUN)] == [ToolResult, WorkEnded]


def test_a_message_that_is_looked_for(parser: CodexParser) -> None:
    """Alone, wherever it is; not where it was told, but where it only counts as told."""
    said = {"type": "userMessage", "id": "u", "clientId": "m-1", "content": [{"type": "text", "text": "hello"}]}
    assert texts(listed(parser, ONE, said, TWO, message="m-1")) == ["hello"]
    assert listed(parser, ONE, said, TWO, message="m-1") == []
    other = CodexParser()
    assert listed(other, ONE, said, TWO) == []
    again = other.next()
    assert texts(listed(again, ONE, said, said, message="m-1")) == ["hello"]
    assert listed(again, ONE, said, TWO, message="m-1") == listed(again, ONE, said, TWO) == []


def test_a_message_that_is_looked_for_among_too_many_is_not_known_to_be_there(parser: CodexParser) -> None:
    """It is neither found nor missed."""
    (asked,) = Codex().look_up("thread", "m-1", "r")
    *_, over = replied(parser, asked, data=[{"turnId": "t", "item": ONE}] * 1001)
    assert isinstance(over, Replied)
    assert over.refusal


def opened(parser: CodexParser, status: str) -> list[Event]:
    """What it makes of a thread that we have opened, which another has begun."""
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    thread = {"id": "thread", "status": {"type": status}}
    *events, _ = replied(parser, asked, thread=thread)
    return events


def started(events: list[Event]) -> list[str]:
    return [event.turn for event in events if isinstance(event, TurnStarted)]


def test_a_thread_that_is_opened_amid_a_turn_is_at_work(parser: CodexParser) -> None:
    """Nobody tells that the turn had started: what is listed is in it, and its end ends it."""
    notified(parser, "thread/started", thread={"id": "thread"})
    assert started(opened(parser, "active")) == []
    assert started(listed(parser, ONE)) == ["t"]
    assert started(listed(parser, ONE)) == []
    over = notified(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert [type(event) for event in over] == [TurnEnded, WorkEnded]


def test_a_thread_without_a_turn_is_not(parser: CodexParser) -> None:
    """Nor is one whose turn was told, or has ended by the time that the list comes."""
    notified(parser, "thread/started", thread={"id": "thread"})
    opened(parser, "active")
    opened(parser, "idle")
    assert started(listed(parser.next(), ONE)) == started(listed(parser, ONE)) == []
    notified(parser, "thread/started", thread={"id": "thread"})
    opened(parser, "active")
    notified(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert started(listed(parser, ONE, TWO)) == []
    assert started(notified(parser, "turn/started", turn={"id": "t-2"})) == ["t-2"]
    opened(parser, "active")
    assert started(listed(parser, ONE, TWO, THREE)) == []


def test_what_begins_in_it_tells_the_turn_as_well(parser: CodexParser) -> None:
    """Where the list does not: of a thread that was there before, its latest item may be of a turn that is over."""
    opened(parser, "active")
    assert started(listed(parser)) == started(listed(parser, TWO)) == []
    assert started(notified(parser, "item/started", turnId="t", item={**RUN, "status": "inProgress"})) == ["t"]
    assert started(listed(parser, ONE, RUN)) == []
