"""What was said in Codex's conversations when nobody heard it: it lists what is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vibespace.harness.base import Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Event, Text, ToolCall, ToolResult, TurnEnded, TurnStarted, WorkEnded
from vibespace.harness.reading import encode

Item = dict[str, Any]
RUN: Item = {"type": "commandExecution", "id": "c", "command": "ls", "status": "completed", "exitCode": 0}
ONE, TWO, THREE = ({"type": "agentMessage", "id": f"m-{words}", "text": words} for words in ("one", "two", "three"))


@pytest.fixture
def parser() -> CodexParser:
    return CodexParser()


def told(parser: CodexParser, method: str, **params: Any) -> list[Event]:
    """What it makes of a notification."""
    return list(parser.feed(encode({"method": method, "params": {"threadId": "thread", **params}})))


def completed(parser: CodexParser, item: Item, turn: str = "t") -> list[Event]:
    return told(parser, "item/completed", turnId=turn, item=item)


def listed(parser: CodexParser, *there: Item, message: str = "") -> list[Event]:
    """What it makes of a list of these, the oldest first."""
    (asked,) = Codex().look_up("thread", message, "r")
    data = [{"turnId": "t", "item": item} for item in reversed(there)]
    *events, _ = parser.feed(encode({"id": json.loads(asked)["id"], "result": {"data": data}}))
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
        told(parser, "thread/started", thread={"id": "thread"})
    after = parser.next()
    assert texts(listed(after, ONE, TWO)) == ["one", "two"]
    assert listed(after.next(), ONE, TWO) == []


def test_a_state_knows_what_was_told(parser: CodexParser) -> None:
    told(parser, "thread/started", thread={"id": "thread"})
    listed(parser, ONE)
    again, state = CodexParser(), parser.state()
    assert state
    again.restore(state)
    assert completed(again, ONE) == []
    assert texts(listed(again, ONE, TWO)) == ["two"]


def test_calls_are_known_by_their_turn_as_well(parser: CodexParser) -> None:
    """Some models number them anew in each."""
    told(parser, "thread/started", thread={"id": "thread"})
    assert [type(event) for event in listed(parser, RUN)] == [ToolCall, ToolResult]
    assert [type(event) for event in completed(parser, RUN, "t-2")] == [ToolCall, ToolResult]


def test_a_call_that_was_begun_is_over_by_the_list(parser: CodexParser) -> None:
    """And with it what was at work."""
    completed(parser, ONE)
    told(parser, "turn/started", turn={"id": "t"})
    told(parser, "item/started", turnId="t", item={**RUN, "status": "inProgress"})
    told(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert [type(event) for event in listed(parser, ONE, RUN)] == [ToolResult, WorkEnded]


def test_a_message_that_is_looked_for(parser: CodexParser) -> None:
    """Alone, wherever it is; not where it was told."""
    said = {"type": "userMessage", "id": "u", "clientId": "m-1", "content": [{"type": "text", "text": "hello"}]}
    assert texts(listed(parser, ONE, said, TWO, message="m-1")) == ["hello"]
    assert listed(parser, ONE, said, TWO, message="m-1") == []


def opened(parser: CodexParser, status: str) -> list[Event]:
    """What it makes of a thread that we have opened, which another has begun."""
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    thread = {"id": "thread", "status": {"type": status}}
    *events, _ = parser.feed(encode({"id": json.loads(asked)["id"], "result": {"thread": thread}}))
    return events


def started(events: list[Event]) -> list[str]:
    return [event.turn for event in events if isinstance(event, TurnStarted)]


def test_a_thread_that_is_opened_amid_a_turn_is_at_work(parser: CodexParser) -> None:
    """Nobody tells that the turn had started: what is listed is in it, and its end ends it."""
    told(parser, "thread/started", thread={"id": "thread"})
    assert started(opened(parser, "active")) == []
    assert started(listed(parser, ONE)) == ["t"]
    assert started(listed(parser, ONE)) == []
    over = told(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert [type(event) for event in over] == [TurnEnded, WorkEnded]


def test_a_thread_without_a_turn_is_not(parser: CodexParser) -> None:
    """Nor is one whose turn was told, or has ended by the time that the list comes."""
    told(parser, "thread/started", thread={"id": "thread"})
    opened(parser, "active")
    opened(parser, "idle")
    assert started(listed(parser.next(), ONE)) == started(listed(parser, ONE)) == []
    told(parser, "thread/started", thread={"id": "thread"})
    opened(parser, "active")
    told(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert started(listed(parser, ONE, TWO)) == []
    assert started(told(parser, "turn/started", turn={"id": "t-2"})) == ["t-2"]
    opened(parser, "active")
    assert started(listed(parser, ONE, TWO, THREE)) == []


def test_what_begins_in_it_tells_the_turn_as_well(parser: CodexParser) -> None:
    """Where the list does not: of a thread that was there before, its latest item may be of a turn that is over."""
    opened(parser, "active")
    assert started(listed(parser)) == started(listed(parser, TWO)) == []
    assert started(told(parser, "item/started", turnId="t", item={**RUN, "status": "inProgress"})) == ["t"]
    assert started(listed(parser, ONE, RUN)) == []
