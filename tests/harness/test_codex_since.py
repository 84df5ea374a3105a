"""What was told of a thread since it was opened, or begun by us, when a list of it comes: only the rest is news."""

from __future__ import annotations

import pytest

from tests.harness.codex_frames import notified, replied
from tests.harness.codex_lists import DONE, RUNS, in_short, listed, opened, said
from vibespace.harness.base import Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser


@pytest.fixture
def parser() -> CodexParser:
    parser = CodexParser()
    notified(parser, "thread/started", thread={"id": "thread"})
    return parser


def test_what_was_missed_is_told_behind_what_was_heard_since(parser: CodexParser) -> None:
    """Also where the list does not go back to what was told before, or nobody knows what that was."""
    for heard in (5, 99, 150):
        there = [("t-1", f"heard {number}") for number in range(heard)]
        before = CodexParser()
        opened(before, RUNS)
        for turn, words in there:
            notified(before, "item/completed", turnId=turn, item=said(words))
        opened(before, RUNS)
        missed = [("t-1", f"missed {number}") for number in range(3)]
        found = in_short(listed(before, *[("t-0", "old"), *there, *missed][-100:]))
        assert [each for each in found if "t-" not in each] == ["missed 0", "missed 1", "missed 2"], heard


@pytest.mark.parametrize("others", [236, 237, 300])
def test_what_was_heard_since_is_never_told_again(others: int) -> None:
    """However much of other threads was told meanwhile, so that it is not remembered as told any more."""
    parser = CodexParser()
    (asked, *_) = Codex().open(Settings(), "", "/vibespace", "r")
    replied(parser, asked, thread={"id": "thread", "status": {"type": "idle"}})
    there = [("t-1", f"heard {number}") for number in range(20)]
    for _, words in there:
        notified(parser, "item/completed", turnId="t-1", item=said(words))
    for number in range(others):
        notified(parser, "item/completed", threadId="other", turnId="o", item=said(f"other {number}"))
    opened(parser, DONE)
    found = in_short(listed(parser, *there, ("t-1", "missed")))
    assert [each for each in found if "heard" in each or each == "missed"] == ["missed"]


def test_what_a_person_said_first_is_told_though_the_list_did_not_come(parser: CodexParser) -> None:
    """Another connection asks for it: what the agent answered meanwhile was not the beginning."""
    opened(parser, RUNS)
    notified(parser, "item/completed", turnId="t-2", item=said("answer"))
    opened(parser, RUNS)
    there = [("t-2", "question"), ("t-2", "answer"), ("t-2", "more")]
    assert [each for each in in_short(listed(parser, *there)) if "t-2" not in each] == ["question", "more"]


def test_a_message_that_was_looked_for_is_not_the_last_that_was_told(parser: CodexParser) -> None:
    """Where it was found before all was listed: what came before it is news."""
    notified(parser, "item/completed", turnId="t-0", item=said("zero"))
    opened(parser, DONE)
    there = [("t-0", "zero"), ("t-1", "missed"), ("t-1", "found")]
    assert in_short(listed(parser, *there, message="found")) == ["found"]
    assert [each for each in in_short(listed(parser, *there)) if "t-" not in each] == ["missed"]


def test_what_was_heard_is_not_told_when_it_is_looked_for() -> None:
    """Nor after a list in which it was the oldest that is known."""
    parser, there = CodexParser(), [("t-1", "old"), ("t-1", "heard")]
    opened(parser, DONE)
    notified(parser, "item/completed", turnId="t-1", item=said("heard", "heard"))
    listed(parser, *there)
    assert listed(parser, *there, message="heard") == []
