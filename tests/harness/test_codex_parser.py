"""What Codex tells: what is its own about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vibespace.harness.base import Parser, Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_threads import MOST_KEPT, MOST_OPEN, MOST_THREADS
from vibespace.harness.events import (
    ApprovalAsked,
    ApprovalCancelled,
    Change,
    ConversationJoined,
    ConversationSwitched,
    Error,
    Event,
    FileChange,
    RateLimit,
    Reason,
    Replied,
    Reverted,
    Text,
    ToolCall,
    ToolResult,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    Usage,
    WorkEnded,
)
from vibespace.harness.reading import encode

CODEX = Codex()


WHERE = {"threadId": "c-1", "turnId": "t-1"}


STARTED: dict[str, Any] = {"method": "turn/started", "params": {"threadId": "c-1", "turn": {"id": "t-1"}}}


COMMAND = {"type": "commandExecution", "id": "call_1", "command": "sleep 30", "cwd": "/vibespace/demo"}


def ended(status: str = "completed", **turn: Any) -> dict[str, Any]:
    return {"method": "turn/completed", "params": {"threadId": "c-1", "turn": {"id": "t-1", "status": status, **turn}}}


def item(state: str, **said: Any) -> dict[str, Any]:
    return {"method": f"item/{state}", "params": {**WHERE, "item": said}}


def told(*frames: dict[str, Any]) -> list[Event]:
    parser = CODEX.parser()
    return [event for frame in frames for event in parser.feed(encode(frame))]


def sent(line: bytes) -> Any:
    return json.loads(line)


def question(number: int, thread: str = "c-1") -> dict[str, Any]:
    params = {"threadId": thread, "turnId": "t-1", "itemId": f"call_{number}", "command": "x" * 1000}
    return {"id": number, "method": "item/commandExecution/requestApproval", "params": params}


def test_a_reply_is_read_by_itself() -> None:
    """The id of a request says what it asked, so that a parser that did not see it asked knows."""
    (line,) = CODEX.open(Settings(), "", "/vibespace/demo", "r-1")
    name = sent(line)["id"]
    events = told({"id": name, "result": {"thread": {"id": "c-1"}}})
    switched = ConversationSwitched(id="c-1", conversation="c-1", previous="")
    assert events == [switched, Replied(id=name, request="r-1")]


def test_a_refused_request_says_why() -> None:
    """What the program will not do is not taken for done."""
    line, _ = CODEX.interrupt("c-1", "t-1", "r-1")
    refusal = {"code": -32600, "message": "no active turn to interrupt"}
    (event,) = told({"id": sent(line)["id"], "error": refusal})
    assert isinstance(event, Replied)
    assert (event.request, event.refusal) == ("r-1", "no active turn to interrupt")


def test_each_line_of_a_request_has_a_reply_of_its_own() -> None:
    """A refusal is not taken for a repeat of what was done before it."""
    names = [sent(line)["id"] for line in CODEX.interrupt("c-1", "t-1", "r-1")]
    events = told(*({"id": name, "result": {}} for name in names))
    assert [event.request for event in events if isinstance(event, Replied)] == ["r-1", "r-1"]
    assert len({event.id for event in events}) == 2


def test_a_message_that_arrived_is_found() -> None:
    """Before it is sent again it is looked for, and told as if it came now: it alone, for all others were told."""
    (line,) = CODEX.look_up("c-1", "m-1", "r-1")
    found = {"type": "userMessage", "id": "i-1", "clientId": "m-1", "content": [{"type": "text", "text": "hello"}]}
    items = [{"turnId": "t-1", "item": each} for each in (found, {**found, "clientId": "m-0"}, {"type": "plan"})]
    events = told({"id": sent(line)["id"], "result": {"data": items}})
    assert [event.message for event in events if isinstance(event, Text)] == ["m-1"]
    assert isinstance(events[-1], Replied)
    assert events[-1].request == "r-1"


def test_a_reply_is_to_the_conversation_that_was_asked_about() -> None:
    """Though the program is in another one by then: what ran in the first is ended, and its items are its own."""
    (listing,) = CODEX.look_up("c-1", "m-1", "r-1")
    _, clean = CODEX.interrupt("c-1", "t-1", "r-2")
    found = {"type": "userMessage", "id": "i-1", "clientId": "m-1", "content": []}
    events = told(
        STARTED,
        item("started", **COMMAND),
        ended("interrupted"),
        {"method": "thread/started", "params": {"thread": {"id": "c-2"}}},
        {"id": sent(listing)["id"], "result": {"data": [{"turnId": "t-1", "item": found}]}},
        {"id": sent(clean)["id"], "result": {}},
    )
    after = [(type(event), event.conversation) for event in events if not isinstance(event, ConversationSwitched)][-4:]
    assert after == [(Text, "c-1"), (Replied, "c-1"), (WorkEnded, "c-1"), (Replied, "c-1")]


def test_whoever_enters_another_thread_takes_the_agent_there() -> None:
    """Whether it was there before or not; into its helpers' and its own only the person goes."""
    helper = {"method": "thread/started", "params": {"thread": {"id": "c-3", "parentThreadId": "c-1"}}}

    def entered(name: str, how: str = "cleared") -> dict[str, Any]:
        return {"method": f"thread/goal/{how}", "params": {"threadId": name}}

    steps = (entered("c-1"), entered("c-2", "updated"), helper, entered("c-3"), entered("c-2"), entered("c-1"))
    switched = [event.conversation for event in told(*steps) if isinstance(event, ConversationSwitched)]
    assert switched == ["c-1", "c-2", "c-1"]


def test_a_change_to_files_is_shown_before_it_is_decided() -> None:
    """The question has only the item's name; what would be changed is known from the item."""
    changes = [{"path": "a", "kind": {"type": "add"}, "diff": "+x"}]
    begun = item("started", type="fileChange", id="call_1", changes=changes, status="inProgress")
    question = {"id": 7, "method": "item/fileChange/requestApproval", "params": {**WHERE, "itemId": "call_1"}}
    asked = told(STARTED, begun, question)[-1]
    assert isinstance(asked, ApprovalAsked)
    assert asked.input == {"changes": changes}


def test_an_interrupt_leaves_a_command_running() -> None:
    """The turn is over, the agent is busy; once what ran is ended it is idle."""
    parser = CODEX.parser()
    opened, clean = CODEX.open(Settings(), "", "/", "r-0")[0], CODEX.interrupt("c-1", "t-1", "r-1")[1]
    before = [
        event
        for frame in (
            {"id": sent(opened)["id"], "result": {"thread": {"id": "c-1"}}},
            STARTED,
            item("started", **COMMAND),
            ended("interrupted"),
        )
        for event in parser.feed(encode(frame))
    ]
    assert isinstance(before[-1], TurnEnded)
    after = parser.feed(encode({"id": sent(clean)["id"], "result": {}}))
    assert [type(event) for event in after] == [WorkEnded, Replied]


def test_a_command_that_outlives_its_turn_keeps_it_busy() -> None:
    """It is idle when the command is done."""
    done = item("completed", **COMMAND, status="completed", exitCode=0)
    events = told(STARTED, item("started", **COMMAND), ended(), done)
    assert [type(event) for event in events[-3:]] == [TurnEnded, ToolResult, WorkEnded]


def test_what_is_open_is_cancelled_with_the_turn() -> None:
    """Nobody is left to answer."""
    question = {"id": 7, "method": "item/commandExecution/requestApproval", "params": {**WHERE, "itemId": "call_1"}}
    events = told(STARTED, question, ended("interrupted"))
    assert [event.request for event in events if isinstance(event, ApprovalCancelled)] == ["7"]


def test_what_is_declined_at_once_is_told_as_a_call() -> None:
    """An item that only ends has begun as well."""
    events = told(STARTED, item("completed", **COMMAND, status="declined"))
    assert [type(event) for event in events[1:]] == [ToolCall, ToolResult]


def test_a_resume_amid_a_turn_is_not_idle() -> None:
    """A parser that did not see the turn begin does not end it with its first command."""
    events = told(item("started", **COMMAND), item("completed", **COMMAND, status="completed"))
    assert not any(isinstance(event, WorkEnded) for event in events)


def test_files_that_were_changed() -> None:
    """One event a file, and none for what was declined."""
    changes = [
        {"path": "a", "kind": {"type": "add"}, "diff": "+x"},
        {"path": "b", "kind": {"type": "update", "move_path": "c"}, "diff": "-x\n+y"},
        {"path": "d", "kind": {"type": "delete"}, "diff": "-x"},
    ]
    events = told(STARTED, item("completed", type="fileChange", id="f-1", changes=changes, status="completed"))
    found = [(event.path, event.change, event.moved_to) for event in events if isinstance(event, FileChange)]
    assert found == [("a", Change.CREATED, ""), ("b", Change.MODIFIED, "c"), ("d", Change.DELETED, "")]
    declined = told(STARTED, item("completed", type="fileChange", id="f-1", changes=changes, status="declined"))
    assert not any(isinstance(event, FileChange) for event in declined)


@pytest.mark.parametrize(
    ("info", "trouble", "status"),
    [
        ("unauthorized", Trouble.LOGIN, None),
        ("usageLimitExceeded", Trouble.RATE_LIMIT, None),
        ("contextWindowExceeded", Trouble.CONTEXT, None),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, Trouble.RATE_LIMIT, 429),
        ({"httpConnectionFailed": {"httpStatusCode": None}}, Trouble.UNREACHABLE, None),
        ("aSurprise", Trouble.OTHER, None),
        ({"httpConnectionFailed": {"httpStatusCode": 503}}, Trouble.OVERLOADED, 503),
        ("internalServerError", Trouble.OVERLOADED, None),
        (None, Trouble.OTHER, None),
    ],
)
def test_what_an_error_is_about(info: Any, trouble: Trouble, status: int | None) -> None:
    """The program's words for it become ours, and whether it tries again."""
    error = {"message": "it failed", "codexErrorInfo": info, "additionalDetails": "twice"}
    params = {**WHERE, "willRetry": True, "error": error}
    (event,) = told({"method": "error", "params": params})
    assert isinstance(event, Error)
    assert (event.trouble, event.status, event.text, event.retrying) == (trouble, status, "it failed: twice", True)


@pytest.mark.parametrize(
    ("message", "words", "trouble"),
    [
        ("Missing environment variable: `KEY`.", "Missing environment variable: `KEY`.", Trouble.LOGIN),
        ("stream disconnected before completion: x", "stream disconnected before completion: x", Trouble.UNREACHABLE),
        (
            '{"error": {"message": "The requested model \'x\' does not exist."}}',
            "The requested model 'x' does not exist.",
            Trouble.MODEL,
        ),
        ('{"detail":"The \'x\' model is not supported."}', "The 'x' model is not supported.", Trouble.MODEL),
        ('{"a": 1}', '{"a": 1}', Trouble.OTHER),
        ("{half", "{half", Trouble.OTHER),
    ],
)
def test_what_a_failed_turn_is_about(message: str, words: str, trouble: Trouble) -> None:
    """Where the program has no kind for it, its words say; of a body that was answered, what that says."""
    error = {"message": message, "codexErrorInfo": "other", "additionalDetails": None}
    turn = {"id": "turn-1", "status": "failed", "error": error}
    events = told(STARTED, {"method": "turn/completed", "params": {**WHERE, "turn": turn}})
    ends = [(event.reason, event.detail, event.trouble) for event in events if isinstance(event, TurnEnded)]
    assert ends == [(Reason.FAILED, words, trouble)]


def test_rate_limits() -> None:
    """One event a window that is told; one that is not is none."""
    limits = {"limitId": "codex", "primary": {"usedPercent": 100, "resetsAt": 5}, "secondary": None}
    (event,) = told({"method": "account/rateLimits/updated", "params": {"rateLimits": limits}})
    assert event == RateLimit(window="codex primary", percent=100, resets=5, reached=True)


@pytest.mark.parametrize("used", [1e300, -1, 10**400])
def test_a_share_of_nothing_has_no_percent(used: float) -> None:
    """What is absurd is not told as a number."""
    limits = {"primary": {"usedPercent": used}}
    events = told({"method": "account/rateLimits/updated", "params": {"rateLimits": limits}})
    assert [event.percent for event in events if isinstance(event, RateLimit)] in ([], [None])


def test_a_sum_stays_a_number_that_can_be_kept() -> None:
    """However often it is added to."""
    spent = [
        {"total": {"inputTokens": total}, "last": {"inputTokens": 2**53, "outputTokens": -5}} for total in range(3)
    ]
    updates = [{"method": "thread/tokenUsage/updated", "params": {**WHERE, "tokenUsage": each}} for each in spent]
    (end,) = [event for event in told(STARTED, *updates, ended()) if isinstance(event, TurnEnded)]
    assert end.usage == Usage(input=2**53)


def test_the_same_sum_is_added_once() -> None:
    """After an interrupt it is told again; its numbers say whether it is the same, and only they are kept."""
    last = {"inputTokens": 5}
    updates = [
        {
            "method": "thread/tokenUsage/updated",
            "params": {**WHERE, "tokenUsage": {"total": {"inputTokens": 5, "x": x}, "last": last}},
        }
        for x in ("a", "b")
    ]
    (end,) = [event for event in told(STARTED, *updates, ended()) if isinstance(event, TurnEnded)]
    assert end.usage == Usage(input=5)


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


def test_one_question_too_many_can_be_declined() -> None:
    """It is not kept, but neither does the program wait for ever."""
    events = told(*(question(number) for number in range(MOST_OPEN + 1)))
    assert {type(event) for event in events[:-1]} == {ApprovalAsked}
    assert isinstance(events[-1], Unparsed)
    assert sent(CODEX.decline(events[-1].request))["id"] == MOST_OPEN


def test_what_is_shown_of_calls_is_bounded() -> None:
    """Of all threads together: one beyond it is asked about without what would change, until another is done."""

    def change(name: str, *frames: str) -> list[dict[str, Any]]:
        where = {"threadId": f"c-{name}", "turnId": "t-1"}
        changes = [{"path": name, "kind": {"type": "add"}, "diff": "+" * (MOST_KEPT // 8)}]
        said = {"type": "fileChange", "id": name, "changes": changes, "status": "completed"}
        return [{"method": f"item/{frame}", "params": {**where, "item": said}} for frame in frames]

    def shown(parser: Parser, name: str) -> bool:
        params = {"threadId": f"c-{name}", "turnId": "t-1", "itemId": name}
        asks = {"id": 1, "method": "item/fileChange/requestApproval", "params": params}
        (asked,) = parser.feed(encode(asks))
        parser.feed(encode({"method": "serverRequest/resolved", "params": {**params, "requestId": 1}}))
        assert isinstance(asked, ApprovalAsked)
        return bool(asked.input)

    parser = CODEX.parser()
    for name in "abcdefgh":
        for frame in change(name, "started"):
            parser.feed(encode(frame))
    assert [shown(parser, name) for name in "abcdefgh"] == [True] * 7 + [False]
    assert len(json.dumps(parser.state())) < 1.1 * MOST_KEPT
    for frame in (*change("a", "completed"), *change("i", "started")):
        parser.feed(encode(frame))
    assert [shown(parser, name) for name in "ghi"] == [True, False, True]


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


def test_what_is_taken_back_is_told() -> None:
    """How conversations are sorted on the screen is not."""
    section = {"method": "thread/section/changed", "params": {"threadId": "c-1", "sectionId": "s-1"}}
    events = told(section, {"method": "thread/reverted", "params": {"threadId": "c-1"}})
    assert events == [Reverted(conversation="c-1")]
