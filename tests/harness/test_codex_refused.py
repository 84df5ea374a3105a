"""Lists of what Codex has that are refused, or too much to be read: nobody waits for them, and no end is hidden."""

from __future__ import annotations

import json

import pytest

from tests.harness.codex_frames import notified, replied
from tests.harness.codex_lists import DONE, KILLED, in_short, listed, opened, refused, said
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Replied, Text
from vibespace.harness.reading import LONGEST


@pytest.fixture
def parser() -> CodexParser:
    parser = CodexParser()
    notified(parser, "thread/started", thread={"id": "thread"})
    return parser


def test_a_list_that_is_refused_hides_no_end(parser: CodexParser) -> None:
    """Nor a beginning; what was said in between is not known, and not said to be nothing."""
    notified(parser, "turn/started", turn={"id": "t-1"})
    opened(parser, DONE, KILLED)
    assert in_short(refused(parser)) == ["t-1 completed", "idle", "t-2 begins", "t-2 lost", "idle", "Replied"]


def test_a_list_that_is_refused_takes_nothing_from_the_next(parser: CodexParser) -> None:
    """What was heard in between is not the last that was told before."""
    for is_new in (True, False):
        before = parser.next()
        if not is_new:
            notified(before, "item/completed", turnId="t-0", item=said("zero"))
        opened(before, ("t-0", "completed", True))
        for words in ("heard", "later"):
            notified(before, "item/completed", turnId="t-1", item=said(words))
            refused(before)
        opened(before, ("t-0", "completed", True), DONE)
        there = [("t-0", "zero"), ("t-1", "missed"), ("t-1", "heard"), ("t-1", "later")]
        told = [event.text for event in listed(before, *there) if isinstance(event, Text)]
        assert told == (["zero", "missed"] if is_new else ["missed"])


def test_a_list_of_too_many_hides_no_end(parser: CodexParser) -> None:
    """It is as one that is refused."""
    notified(parser, "turn/started", turn={"id": "t-1"})
    opened(parser, DONE)
    (asked,) = Codex().look_up("thread", "", "r")
    found = replied(parser, asked, data=[{"turnId": "t-1", "item": said("one")}] * 1001)
    assert in_short(found) == ["Unparsed", "t-1 completed", "idle", "Replied"]


def test_who_waits_for_the_end_of_a_turn_to_follow_a_person_does_so_where_the_list_is_refused(
    parser: CodexParser,
) -> None:
    notified(parser, "turn/started", turn={"id": "t-1"})
    assert in_short(notified(parser, "thread/goal/cleared", threadId="other")) == ["ConversationJoined"]
    opened(parser, DONE)
    assert in_short(refused(parser)) == ["t-1 completed", "idle", "ConversationSwitched", "Replied"]


@pytest.mark.parametrize(
    "data",
    [b'"x"' + b" " * LONGEST, b",".join([b"1"] * 200_000), b"[" * 200 + b"]" * 200],
    ids=["bytes", "values", "depth"],
)
def test_a_list_that_is_too_much_to_be_read_is_refused(parser: CodexParser, data: bytes) -> None:
    """Who waits for it goes on, and turns are over."""
    notified(parser, "turn/started", turn={"id": "t-1"})
    opened(parser, DONE)
    for message, told in (("", ["t-1 completed", "idle"]), ("m", [])):
        (asked,) = Codex().look_up("thread", message, "r")
        line = f'{{"id":{json.dumps(json.loads(asked)["id"])},"result":{{"data":['.encode() + data + b"]}}"
        *found, over = parser.feed(line)
        assert isinstance(over, Replied)
        assert (in_short(found), over.request, bool(over.refusal)) == (["Unparsed", *told], "r", True)
