"""What is typed on Claude's terminal, until its transcript has it: who goes on with it, and what is told at the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.claude_lines import CLAUDE, prompted, stopped, typed
from vibespace.harness.events import Source, Text, WorkEnded
from vibespace.harness.reading import encode


def queue(operation: str, **more: str) -> tuple[Source, dict[str, Any]]:
    return Source.RECORD, {"type": "queue-operation", "operation": operation, "sessionId": "c-1", **more}


def hooked(turn: str, words: str) -> tuple[Source, dict[str, Any]]:
    source, line = prompted(turn)
    return source, {**line, "prompt": words}


def waits(words: str) -> list[tuple[Source, dict[str, Any]]]:
    """It is typed while p-1 is at work, as a hook tells by that prompt, and comes into the queue."""
    return [hooked("p-1", words), queue("enqueue", content=words)]


def joined(words: str) -> tuple[Source, dict[str, Any]]:
    attached = {"type": "queued_command", "prompt": words}
    return Source.RECORD, {"type": "attachment", "entrypoint": "cli", "sessionId": "c-1", "attachment": attached}


def turn_of(words: str) -> list[tuple[Source, dict[str, Any]]]:
    return [typed("p-9", words), stopped("p-9")]


HI = [hooked("p-1", "hi"), typed("p-1", "hi")]


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([hooked("p-1", "hi")], ["hi"]),
        (HI, []),
        ([hooked("p-1", "hi"), stopped("p-1")], []),
        ([*HI, hooked("p-1", "a")], ["a"]),
        ([*HI, *waits("a")], ["a"]),
        ([*HI, *waits("a"), hooked("p-1", "b")], ["a", "b"]),
        ([*HI, *waits("a"), *waits("b"), queue("dequeue")], ["a", "b"]),
        ([*HI, *waits("a"), *waits("b"), queue("dequeue"), typed("p-2", "a")], ["b"]),
        ([*HI, *waits("a"), *waits("b"), queue("dequeue"), queue("dequeue"), typed("p-2", "a\nb")], []),
        ([*HI, *waits("a"), *waits("b"), queue("remove", content="b"), joined("b")], ["a"]),
        ([*HI, *waits("a"), stopped("p-1")], ["a"]),
        ([hooked("p-1", "hi"), hooked("p-1", "a"), hooked("p-1", "b")], ["hi", "a", "b"]),
        ([hooked("p-1", "hi"), hooked("p-2", "a"), hooked("p-3", "b")], ["hi", "a", "b"]),
        ([hooked("p-1", "hi"), *waits("hi"), *HI[1:]], ["hi"]),
        ([*HI, queue("enqueue", content="ls"), *waits("a"), queue("dequeue"), *turn_of("ls")], ["a"]),
        ([*HI, *waits("a"), queue("dequeue"), typed("p-2", "else"), stopped("p-2")], []),
        ([*HI, *waits("a"), queue("popAll", content="a")], []),
        ([*HI, queue("enqueue", content="<task-notification>"), *waits("a"), queue("dequeue")], ["a"]),
    ],
    ids=[
        *("prompted", "written", "over", "comes", "waits", "orders", "taken", "begun", "merged", "joined", "outlives"),
        *("fast", "faster", "same", "shell", "never", "edited", "nobodys"),
    ],
)
def test_what_was_typed_and_goes_with_the_program_is_told(
    steps: list[tuple[Source, dict[str, Any]]], left: list[str]
) -> None:
    """With its words, in their order. It outlives a restart of ours."""
    before, parser = CLAUDE.parser(), CLAUDE.parser()
    for source, line in steps:
        before.feed(encode(line), source)
    parser.restore(before.state() or {})
    assert [each.text for each in parser.lost() if isinstance(each, Text) and each.by_user] == left


@pytest.mark.parametrize("late", [typed("p-1", "hi"), typed("p-2", "a"), typed("p-2", "else")])
def test_what_the_transcript_has_after_all_is_told_once(late: tuple[Source, dict[str, Any]]) -> None:
    """Its last lines may come after the end of the program."""
    parser = CLAUDE.parser()
    for source, line in (hooked("p-1", "a"), queue("enqueue", content="a"), hooked("p-1", "hi")):
        parser.feed(encode(line), source)
    texts = [each.text for each in parser.lost() if isinstance(each, Text)]
    source, line = late
    texts += [each.text for each in parser.feed(encode(line), source) if isinstance(each, Text)]
    assert texts == ["a", "hi"] + ["else"] * ("else" in str(line))


GONE = (Source.HOOK, {"hook_event_name": "SessionEnd", "session_id": "c-1", "request_id": "r-1"})
TAKEN = [queue("dequeue"), typed("p-2", "a")]


@pytest.mark.parametrize(
    ("steps", "idle"),
    [
        ([*waits("a"), stopped("p-1")], 0),
        ([*waits("a"), stopped("p-1"), *TAKEN], 0),
        ([*waits("a"), stopped("p-1"), *TAKEN, stopped("p-2")], 1),
        ([*waits("a"), *waits("b"), stopped("p-1"), *TAKEN, stopped("p-2")], 0),
        ([*waits("a"), *[each for turn in "1234" for each in (typed(f"p-{turn}"), stopped(f"p-{turn}"))]], 1),
        ([*waits("a"), stopped("p-1"), queue("popAll")], 1),
        ([*waits("a"), queue("popAll"), stopped("p-1")], 1),
        ([*waits("a"), stopped("p-1"), GONE], 1),
        ([queue("enqueue", content="ls"), *waits("a"), stopped("p-1"), queue("dequeue"), *turn_of("ls")], 0),
        ([hooked("p-1", "refused"), stopped("p-1")], 1),
    ],
    ids=[
        "waits",
        "begun",
        "done",
        "one by one",
        "forgotten",
        "edited",
        "edited before",
        "left",
        "shell",
        "never queued",
    ],
)
def test_who_goes_on_with_what_waits_is_not_idle(steps: list[tuple[Source, dict[str, Any]]], idle: int) -> None:
    """Neither the end of its turn nor who takes over from it is the end of what was typed ahead."""
    parser = CLAUDE.parser()
    events = [event for source, line in [*HI, *steps] for event in parser.feed(encode(line), source)]
    assert sum(isinstance(event, WorkEnded) for event in events) == idle
    assert sum(isinstance(event, WorkEnded) for event in parser.lost()) == (1 if idle == 0 else 0)
