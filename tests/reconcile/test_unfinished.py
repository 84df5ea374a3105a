"""What an agent was saying when its turn ended is in the record, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.harness import recorded
from vibespace.harness.events import Delta, Error, Event, Reason, Stream, Text, Trouble, TurnEnded
from vibespace.reconcile.unfinished import LONGEST, MOST, Unfinished

FAILED = Error(trouble=Trouble.UNREACHABLE, text="no", retrying=True)
OVER = TurnEnded(id="t", turn="t", conversation="c", reason=Reason.INTERRUPTED)


def piece(text: str, block: str = "b", turn: str = "t", **more: str) -> Delta:
    return Delta(block=block, stream=Stream.TEXT, text=text, turn=turn, conversation="c", **more)


def texts(*events: Event) -> list[tuple[str, str]]:
    """The texts that are told of, by block."""
    unfinished = Unfinished()
    told = [each for event in events for each in unfinished.take(event)]
    assert [each for each in told if each in events] == [*events]
    assert not unfinished.is_open
    return [(each.block, each.text) for each in told if isinstance(each, Text)]


def test_what_comes_to_no_end_is_told_before_the_end_of_its_turn() -> None:
    """As far as it got, in its turn and conversation."""
    unfinished = Unfinished()
    *_, said, over = [each for event in (piece("one "), piece("two"), OVER) for each in unfinished.take(event)]
    assert said == Text(id="b", text="one two", block="b", turn="t", conversation="c")
    assert over == OVER


def test_what_is_whole_is_told_once() -> None:
    """By the program; what it says of its helpers, and thinks, is none of it."""
    whole = Text(id="i", text="one two", block="b", turn="t", conversation="c")
    thought = Delta(block="r", stream=Stream.REASONING, text="hm", turn="t")
    assert texts(piece("one "), piece("two"), whole, thought, piece("x", parent="p"), OVER) == [("b", "one two")]


def test_what_was_all_said_when_it_was_cut_off_is_not_told_again() -> None:
    """By the next program, which lists what is there; what is more than that is."""
    unfinished = Unfinished()
    for event in (piece("one "), piece("two"), OVER):
        list(unfinished.take(event))
    after = Unfinished(unfinished.next().state())
    whole = Text(id="b", text="one two", block="b", turn="t", conversation="c")
    assert list(after.take(whole)) == []
    for other in (replace(whole, text="one two!"), replace(whole, turn="t2"), replace(whole, block="b2")):
        assert list(after.take(other)) == [other]


def test_what_is_cut_short_by_the_next_is_told_before_that() -> None:
    """As by a message that joins the turn; of a request that failed and is made again, what was answered last."""
    begun, again = piece("one "), piece("two", block="b2")
    assert texts(begun, again, OVER) == [("b", "one "), ("b2", "two")]
    assert texts(begun, FAILED, FAILED, again, piece(" more", block="b2"), OVER) == [("b2", "two more")]
    assert texts(begun, FAILED, again, piece("three", block="b3"), OVER) == [("b2", "two"), ("b3", "three")]


def test_what_no_other_try_says_again_is_told() -> None:
    """As where the model's service does not come back: somebody has seen it."""
    assert texts(piece("one "), piece("two"), FAILED, FAILED, OVER) == [("b", "one two")]
    assert texts(FAILED, piece("one "), OVER) == [("b", "one ")]
    whole, steered = Text(id="i", text="two", block="b2", turn="t"), Text(id="j", text="go", by_user=True, turn="t")
    assert texts(piece("one "), FAILED, whole, OVER) == [("b2", "two")]
    assert texts(piece("one "), FAILED, steered, OVER) == [("", "go"), ("b", "one ")]


@pytest.mark.parametrize("name", recorded.NAMES)
def test_what_is_whole_in_a_recording_is_told_once(name: str) -> None:
    """Whichever program, however it was cut short."""
    unfinished = Unfinished()
    told = [each for event in recorded.events(name) for each in unfinished.take(event)]
    blocks = [each.block for each in told if isinstance(each, Text) and each.block]
    assert len(blocks) == len({*blocks})


def test_turns_at_once_are_told_apart() -> None:
    """A program that serves several conversations says a word of the one, and a word of the other: neither is torn."""
    said = [piece(word, block, turn) for word in ("one ", "two ") for block, turn in (("b", "t"), ("b2", "t2"))]
    whole = Text(id="b2", text="one two ", block="b2", turn="t2", conversation="c")
    again = Error(trouble=Trouble.UNREACHABLE, text="no", retrying=True, turn="t2")
    assert texts(*said, whole, OVER) == [("b2", "one two "), ("b", "one two ")]
    ends = OVER, replace(OVER, turn="t2")
    assert texts(*said, again, *ends) == [("b", "one two "), ("b2", "one two ")]
    assert texts(*said, again, piece("new", "b3", "t2"), *ends) == [("b", "one two "), ("b3", "new")]


def test_turns_at_once_have_a_limit() -> None:
    """Of what begins beyond it, only what the program tells itself is told."""
    ends = [replace(OVER, turn=f"t{n}") for n in range(MOST + 10)]
    told = texts(*(piece("x", f"b{n}", f"t{n}") for n in range(MOST + 10)), *ends)
    assert told == [(f"b{n}", "x") for n in range(MOST)]


def test_it_has_a_limit() -> None:
    """Who rules inside may say anything."""
    assert texts(*(piece("x" * 1000) for _ in range(LONGEST // 1000 + 10)), OVER) == [("b", "x" * LONGEST)]
