"""What real programs wrote makes the events in recordings/*.events."""

from __future__ import annotations

import json

import pytest

from tests.harness import recorded
from vibespace.harness.events import Text, ToolCall, ToolResult, Unparsed
from vibespace.harness.registry import HARNESSES


@pytest.mark.parametrize("name", recorded.NAMES)
def test_golden(name: str) -> None:
    """A recording makes the events that its golden file has."""
    assert [recorded.shown(event) for event in recorded.events(name)] == recorded.golden(name).read_text().splitlines()


@pytest.mark.parametrize("name", recorded.NAMES)
def test_everything_is_known(name: str) -> None:
    """Nothing that the programs of today wrote is left unparsed."""
    assert [event for event in recorded.events(name) if isinstance(event, Unparsed)] == []


@pytest.mark.parametrize("name", recorded.NAMES)
def test_a_parser_can_be_made_again_anywhere(name: str) -> None:
    """One that is fed the same lines, from the first on, goes on with the same events, wherever the first was lost."""
    lines, source, harness = recorded.lines(name), recorded.source(name), HARNESSES[recorded.program(name)]
    expected = recorded.events(name)
    for cut in range(len(lines)):
        again = harness.parser()
        before = [event for line in lines[:cut] for event in again.feed(line, source)]
        assert [*before, *(event for line in lines[cut:] for event in again.feed(line, source))] == expected


@pytest.mark.parametrize("name", recorded.NAMES)
def test_a_parser_can_be_restored_anywhere(name: str) -> None:
    """One that is given the state of another goes on with the same events, wherever that can be kept."""
    lines, source, harness = recorded.lines(name), recorded.source(name), HARNESSES[recorded.program(name)]
    first, kept = harness.parser(), 0
    for number, line in enumerate(lines):
        first.feed(line, source)
        if (state := first.state()) is None:
            continue
        kept += 1
        other, like = harness.parser(), harness.parser()
        for each in lines[: number + 1]:
            like.feed(each, source)
        other.restore(json.loads(json.dumps(state)))
        rest = lines[number + 1 :]
        assert [other.feed(each, source) for each in rest] == [like.feed(each, source) for each in rest]
        assert other.lost() == like.lost()
    assert kept


def test_both_doors_of_a_conversation_are_in_the_transcript() -> None:
    """What was said headless and what was typed stand in one order, and only what we sent has our id."""
    said = [event for event in recorded.events("claude_transcript") if isinstance(event, Text) and event.by_user]
    assert [(event.text[:13], bool(event.message)) for event in said] == [
        ("headless turn", True),
        ("headless turn", True),
        ("said in the t", False),
        ("tui tool [[ba", False),
        ("headless afte", True),
    ]


def test_a_long_output_is_whole_though_its_pieces_were_not() -> None:
    """Codex does not tell the first piece of an output; the result has it."""
    events = recorded.events("codex_output")
    (call,) = {event.call for event in events if isinstance(event, ToolCall)}
    results = [event.text for event in events if isinstance(event, ToolResult) and event.call == call]
    assert set(results) == {"line1\nline2\nline3\n"}
