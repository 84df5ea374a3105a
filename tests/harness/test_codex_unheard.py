"""Turns of Codex's that nobody heard, or not to their end: a conversation that is opened tells which it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.codex_frames import notified, replied
from tests.harness.codex_lists import DONE, KILLED, RUN, RUNS, Frame, Turn, in_short, listed, opened, said
from vibespace.harness.base import Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Replied, TurnEnded
from vibespace.harness.reading import encode


@pytest.fixture
def parser() -> CodexParser:
    parser = CodexParser()
    notified(parser, "thread/started", thread={"id": "thread"})
    return parser


@pytest.mark.parametrize(
    ("turn", "end"),
    [
        (("t", "completed", True), "completed"),
        (("t", "interrupted", True), "interrupted"),
        (("t", "interrupted", False), "lost"),
        (("t", "failed", True), "failed"),
        (("t", "of another build", True), "failed"),
    ],
)
def test_a_turn_that_nobody_heard_has_a_beginning_and_an_end(parser: CodexParser, turn: Turn, end: str) -> None:
    """Once, around what was said in it; the process after this one knows that it was told."""
    opened(parser, turn)
    assert in_short(listed(parser, ("t", "one"), ("t", "two"))) == ["t begins", "one", "two", f"t {end}", "idle"]
    for after in (parser, parser.next()):
        opened(after, turn)
        assert listed(after, ("t", "one"), ("t", "two")) == []


def test_each_of_several_has_its_own(parser: CodexParser) -> None:
    """The one that was told comes before them, the one that runs after."""
    notified(parser, "turn/started", turn={"id": "t-0"})
    notified(parser, "item/completed", turnId="t-0", item=said("zero"))
    parser.lost()
    after = parser.next()
    opened(after, ("t-0", "interrupted", False), DONE, RUNS)
    there = [("t-0", "zero"), ("t-0", "more"), ("t-1", "one"), ("t-2", "two")]
    found = in_short(listed(after, *there))
    assert found == ["more", "t-1 begins", "one", "t-1 completed", "idle", "t-2 begins", "two"]
    over = notified(after, "turn/completed", turn={"id": "t-2", "status": "completed"})
    assert in_short(over) == ["t-2 completed", "idle"]


def test_nothing_is_told_where_nobody_knows_what_was(parser: CodexParser) -> None:
    """What comes after that is."""
    unknown = CodexParser()
    opened(unknown, DONE)
    assert listed(unknown, ("t-1", "one")) == []
    opened(after := unknown.next(), DONE, KILLED)
    assert in_short(listed(after, ("t-1", "one"), ("t-2", "two"))) == ["t-2 begins", "two", "t-2 lost", "idle"]


def test_a_turn_that_goes_on_over_another_connection(parser: CodexParser) -> None:
    """Its end is told by the list where nobody heard it; one that runs is not told again, and none is told amid it."""
    notified(parser, "turn/started", turn={"id": "t-1"})
    opened(parser, ("t-1", "inProgress", False))
    assert in_short(listed(parser, ("t-1", "one"))) == ["one"]
    opened(parser, DONE, ("t-2", "failed", True))
    found = in_short(listed(parser, ("t-1", "one"), ("t-1", "end"), ("t-2", "two")))
    assert found == ["end", "t-1 completed", "idle", "t-2 begins", "two", "t-2 failed", "idle"]
    notified(parser, "turn/started", turn={"id": "t-4"})
    opened(parser, ("t-3", "completed", True), ("t-4", "inProgress", False))
    assert in_short(listed(parser, ("t-2", "two"), ("t-3", "three"), ("t-4", "four"))) == ["three", "four"]


def test_what_is_heard_before_the_list_comes_hides_nothing_of_it(parser: CodexParser) -> None:
    """The turn is told to have begun by what is heard of it first, be that its end."""
    notified(parser, "item/completed", turnId="t-1", item=said("one"))
    there = [("t-1", "one"), ("t-2", "two"), ("t-2", "later")]
    opened(after := parser.next(), DONE, RUNS)
    assert in_short(notified(after, "item/completed", turnId="t-2", item=said("later"))) == ["t-2 begins", "later"]
    assert in_short(listed(after, *there)) == ["two"]
    over = {"id": "t-2", "status": "completed"}
    assert in_short(notified(after, "turn/completed", turn=over)) == ["t-2 completed", "idle"]
    opened(after := parser.next(), DONE, RUNS)
    assert in_short(notified(after, "turn/completed", turn=over)) == ["t-2 begins", "t-2 completed", "idle"]
    assert in_short(listed(after, *there)) == ["two", "later"]


def test_why_a_turn_failed_that_nobody_heard(parser: CodexParser) -> None:
    """As Codex tells it of one that is heard."""
    error = {"message": "no", "codexErrorInfo": "unauthorized"}
    turn = {"id": "t", "status": "failed", "error": error, "completedAt": 1}
    heard = [each for each in notified(parser.next(), "turn/completed", turn=turn) if isinstance(each, TurnEnded)]
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    thread = {"id": "thread", "status": {"type": "idle"}}
    replied(parser, asked, thread=thread, initialTurnsPage={"data": [turn]})
    assert [each for each in listed(parser, ("t", "one")) if isinstance(each, TurnEnded)] == heard


def test_a_call_that_was_told_to_have_begun_is_not_told_again(parser: CodexParser) -> None:
    """By the process after the one that began it; its result is."""
    notified(parser, "turn/started", turn={"id": "t"})
    assert in_short(notified(parser, "item/started", turnId="t", item=RUN)) == ["ToolCall"]
    parser.lost()
    opened(after := parser.next(), ("t", "interrupted", False))
    (asked,) = Codex().look_up("thread", "", "r")
    found = replied(after, asked, data=[{"turnId": "t", "item": RUN}])
    assert in_short(found) == ["ToolResult", "Replied"]


def test_calls_are_told_once(parser: CodexParser) -> None:
    """Also where more is listed than is remembered."""
    notified(parser, "turn/started", turn={"id": "t"})
    assert in_short(notified(parser, "item/started", turnId="t", item=RUN)) == ["ToolCall"]
    before = [("t", f"m-{number}") for number in range(300)]
    for first in (0, 98, 196):
        assert len(listed(parser, *before[first : first + 99])) > 90
    (asked,) = Codex().look_up("thread", "", "r")
    data = [{"turnId": turn, "item": said(words)} for turn, words in before[294:200:-1]]
    found = replied(parser.next(), asked, data=[{"turnId": "t", "item": RUN}, *data])
    assert in_short(found) == ["ToolResult", "Replied"]
    assert in_short(notified(parser.next(), "item/completed", turnId="t", item=RUN)) == ["ToolResult"]


def test_a_call_that_is_listed_before_it_is_heard_is_over(parser: CodexParser) -> None:
    """And with it the work, if the turn is."""
    notified(parser, "turn/started", turn={"id": "t"})
    (asked,) = Codex().look_up("thread", "", "r")
    found = replied(parser, asked, data=[{"turnId": "t", "item": RUN}])
    assert in_short(found) == ["ToolCall", "ToolResult", "Replied"]
    assert notified(parser, "item/started", turnId="t", item=RUN) == []
    over = notified(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert in_short(over) == ["t completed"]
    assert in_short(notified(parser, "item/completed", turnId="t", item=RUN)) == ["idle"]


def test_threads_that_we_begin_are_forgotten_when_nothing_is_under_way(parser: CodexParser) -> None:
    """Nothing is listed of them."""
    (asked, *_) = Codex().open(Settings(), "", "/vibespace", "r")
    for number in range(200):
        replied(parser, asked, thread={"id": f"thread-{number}"})
    assert in_short(notified(parser, "turn/started", turn={"id": "t"})) == ["t begins"]


def test_a_question_of_no_turn_is_cancelled_with_the_turn(parser: CodexParser) -> None:
    """Nobody waits for its answer any more."""
    notified(parser, "turn/started", turn={"id": "t"})
    params = {"threadId": "thread", "itemId": "c", "command": "ls"}
    parser.feed(encode({"method": "item/commandExecution/requestApproval", "id": 7, "params": params}))
    over = notified(parser, "turn/completed", turn={"id": "t", "status": "completed"})
    assert in_short(over) == ["ApprovalCancelled", "t completed", "idle"]


def test_helpers_leave_what_was_told_of_the_agent_in_memory(parser: CodexParser) -> None:
    """However much they do: their threads are never listed."""
    notified(parser, "item/completed", turnId="t-0", item=said("zero"))
    notified(parser, "thread/started", thread={"id": "helper", "parentThreadId": "thread"})
    accepted(parser, "t-1")
    notified(parser, "turn/started", turn={"id": "t-1"})
    notified(parser, "item/started", turnId="t-1", item=RUN)
    for number in range(300):
        turn = {"id": f"t-{number}-h", "status": "completed"}
        params = {"threadId": "helper", "turnId": turn["id"]}
        notified(parser, "turn/started", turn=turn, threadId="helper")
        for state in ("started", "completed"):
            notified(parser, f"item/{state}", **params, item=RUN)
        assert in_short(notified(parser, "item/completed", **params, item=said(f"help {number}"))) == [f"help {number}"]
        notified(parser, "turn/completed", turn=turn, threadId="helper")
    assert refusal(parser)
    opened(after := parser.next(), ("t-0", "completed", True), ("t-1", "interrupted", False))
    (asked,) = Codex().look_up("thread", "", "r")
    data = [{"turnId": "t-1", "item": RUN}, {"turnId": "t-0", "item": said("zero")}]
    assert in_short(replied(after, asked, data=data))[0] == "ToolResult"


def test_what_threads_have_when_they_are_opened_is_kept_until_it_is_listed(parser: CodexParser) -> None:
    """Others with nothing under way are forgotten for it."""
    opened(parser, DONE, KILLED)
    for number in range(200):
        notified(parser, "thread/tokenUsage/updated", threadId=f"other-{number}")
    assert in_short(listed(parser, ("t-1", "one")))[-2:] == ["t-2 lost", "idle"]


def test_of_words_by_which_turns_have_failed_so_many_are_kept(parser: CodexParser) -> None:
    """What they are of one that is heard is told, and not kept."""
    failed = {"status": "failed", "completedAt": 1, "error": {"message": "x" * 100_000}}
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    thread = {"id": "thread", "status": {"type": "idle"}}
    page = [{"id": "t-1", **failed}, {"id": "t-0", "status": "inProgress"}]
    replied(parser, asked, thread=thread, initialTurnsPage={"data": page})
    notified(parser, "turn/completed", turn={"id": "t-0", **failed})
    assert len(json.dumps(parser.state())) < 10_000


def test_what_only_counts_as_told_is_forgotten_with_the_rest(parser: CodexParser) -> None:
    """After so much else a search for it finds nothing of it, and a list does not tell it."""
    for others, searched in ((256, False), (255, True)):
        before = CodexParser()
        opened(before, DONE)
        assert [each for each in in_short(listed(before, ("t-1", "m"), ("t-1", "x"))) if each in "mx"] == []
        if searched:
            refusal(before, ("t-1", "m"))
        for number in range(others):
            notified(before, "item/completed", threadId="other", turnId="t", item=said(f"other {number}"))
        opened(before, DONE)
        assert [each for each in in_short(listed(before, ("t-1", "m"), ("t-1", "x"))) if each in "mx"] == []
        assert refusal(before, ("t-1", "m")) == ""


def test_threads_whose_list_was_refused_are_forgotten(parser: CodexParser) -> None:
    """When nothing is under way in them."""
    for number in range(100):
        (asked, *_) = Codex().open(Settings(), f"thread-{number}", "/vibespace", "r")
        replied(parser, asked, thread={"id": f"thread-{number}"})
        (asked,) = Codex().look_up(f"thread-{number}", "", "r")
        parser.feed(encode({"id": json.loads(asked)["id"], "error": {"message": "no"}}))
    assert in_short(notified(parser, "turn/started", turn={"id": "t"})) == ["t begins"]


@pytest.mark.parametrize("heard", [False, True])
def test_of_a_turn_without_anything_it_is_said_that_it_may_have_been_told_something(
    parser: CodexParser, *, heard: bool
) -> None:
    """Once, whether it was told to have begun or not."""
    notified(parser, "item/completed", turnId="t-1", item=said("one"))
    if heard:
        notified(parser, "turn/started", turn={"id": "t-2"})
        parser.lost()
    opened(after := parser.next(), DONE, KILLED)
    found = in_short(listed(after, ("t-1", "one")))
    assert found == (["t-2 warning"] if heard else ["t-2 begins", "t-2 warning", "t-2 lost", "idle"])
    opened(again := after.next(), DONE, KILLED)
    assert listed(again, ("t-1", "one")) == []


def test_what_is_too_long_ago_to_be_listed_is_not_missed(parser: CodexParser) -> None:
    """The list ends before it, and not the turn."""
    opened(parser, KILLED, ("t-3", "completed", True))
    found = listed(parser, *[("t-3", f"m-{number}") for number in range(100)])
    assert [each for each in in_short(found) if "t-" in each] == [
        "t-2 begins",
        "t-2 lost",
        "t-3 begins",
        "t-3 completed",
    ]


def refusal(parser: CodexParser, *there: tuple[str, str]) -> str:
    """To a search for the message m."""
    (asked,) = Codex().look_up("thread", "m", "r")
    *_, over = replied(parser, asked, data=[{"turnId": turn, "item": said(words, words)} for turn, words in there])
    assert isinstance(over, Replied)
    return over.refusal


def accepted(parser: CodexParser, turn: str, *, steers: bool = False) -> None:
    """The message m was."""
    line = Codex().say("thread", "hi", "m", "r", turn=turn if steers else "")
    replied(parser, line, **({"turnId": turn} if steers else {"turn": {"id": turn}}))


@pytest.mark.parametrize("steers", [False, True])
def test_a_message_that_was_accepted_and_is_not_there_may_have_arrived(parser: CodexParser, *, steers: bool) -> None:
    """If its turn has begun, whoever told of that; processes after this one know as well. It is found where it is."""
    for begun in (False, True):
        if begun:
            notified(parser, "turn/started", turn={"id": "t-1"})
        accepted(parser, "t-1", steers=steers)
        for after in (parser, parser.next(), parser.next().next()):
            assert bool(refusal(after)) == begun
            assert refusal(after, ("t-1", "m")) == ""
    opened(other := CodexParser().next(), KILLED)
    accepted(other, "t-2", steers=steers)
    listed(other)
    assert refusal(other)


@pytest.mark.parametrize("steers", [False, True])
def test_what_a_turn_did_not_take_up_to_its_end_has_not_arrived(parser: CodexParser, *, steers: bool) -> None:
    """Heard or listed; not where the process ended amid it."""
    for turn in (DONE, KILLED):
        accepted(parser, turn[0], steers=steers)
        opened(parser, turn)
        listed(parser, (turn[0], "other"))
        assert bool(refusal(parser, (turn[0], "other"))) == (turn is KILLED)
    accepted(parser, "t-3", steers=steers)
    for method, status in (("turn/started", "inProgress"), ("turn/completed", "interrupted")):
        notified(parser, method, turn={"id": "t-3", "status": status})
    assert refusal(parser) == ""


def test_of_a_turn_that_is_listed_in_part_nobody_knows_what_it_took_up(parser: CodexParser) -> None:
    """Before what is listed it may have."""
    for first in ([], [("t-0", "before")]):
        accepted(parser, "t-1")
        opened(parser, ("t-0", "completed", True), DONE)
        listed(parser, *first, *[("t-1", f"m-{number}") for number in range(100 - len(first))])
        assert bool(refusal(parser)) == (not first)


QUESTION = {"threadId": "thread", "turnId": "t-2", "itemId": "c", "command": "ls"}


@pytest.mark.parametrize(
    ("frame", "more"),
    [
        ({"method": "turn/started", "params": {"threadId": "thread", "turn": {"id": "t-2"}}}, []),
        ({"method": "item/commandExecution/requestApproval", "id": 7, "params": QUESTION}, ["ApprovalAsked"]),
    ],
)
def test_another_turn_tells_the_end_of_the_one_before(parser: CodexParser, frame: Frame, more: list[str]) -> None:
    """Which was over when the thread was opened: before the list comes, so a question of the one that runs stays."""
    notified(parser, "item/completed", turnId="t-0", item=said("zero"))
    notified(parser, "turn/started", turn={"id": "t-1"})
    opened(parser, ("t-0", "completed", True), DONE, RUNS)
    assert in_short(list(parser.feed(encode(frame)))) == ["t-1 completed", "idle", "t-2 begins", *more]
    assert in_short(listed(parser, ("t-0", "zero"), ("t-1", "one"), ("t-2", "two"))) == ["one", "two"]


def test_a_state_knows_it_all(parser: CodexParser) -> None:
    """Also between what it had and what is listed of that."""
    accepted(parser, "t-2")
    opened(parser, ("t-0", "failed", True), DONE, KILLED)
    again, state = CodexParser(), parser.state()
    again.restore(json.loads(json.dumps(state)))
    assert again.state() == state
    found = in_short(listed(again, ("t-1", "one")))
    assert found[:3] == ["t-0 begins", "t-0 failed", "idle"]
    assert found[3:] == ["t-1 begins", "one", "t-1 completed", "idle", "t-2 begins", "t-2 warning", "t-2 lost", "idle"]
    assert refusal(again)


@pytest.mark.parametrize(
    "page",
    [None, [], {"data": None}, {"data": [None, 1, "t", {}, {"id": 1}, {"id": "t", "status": 1, "completedAt": "x"}]}],
)
def test_a_page_that_is_none(parser: CodexParser, page: Any) -> None:
    """Whoever rules inside may write anything."""
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    replied(parser, asked, thread={"id": "thread", "status": {"type": "idle"}}, initialTurnsPage=page)
    assert "one" in in_short(listed(parser, ("t", "one")))
    assert parser.state()
