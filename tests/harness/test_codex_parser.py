"""What Codex tells: what is its own about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.codex_frames import CODEX, COMMAND, STARTED, WHERE, ended, item, question, sent, told
from vibespace.harness.base import Parser, Settings
from vibespace.harness.codex_threads import MOST_KEPT, MOST_OPEN
from vibespace.harness.events import (
    ApprovalAsked,
    ApprovalCancelled,
    Change,
    ConversationSwitched,
    Error,
    FileChange,
    RateLimit,
    Reason,
    Replied,
    Reverted,
    SettingsStrayed,
    Text,
    ToolCall,
    ToolResult,
    Trouble,
    TurnEnded,
    Unparsed,
    Usage,
    WorkEnded,
)
from vibespace.harness.reading import encode


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


def test_a_change_to_files_is_shown_before_it_is_decided() -> None:
    """The question has only the item's name; what would be changed is known from the item."""
    changes = [{"path": "a", "kind": {"type": "add"}, "diff": "+x"}]
    begun = item("started", type="fileChange", id="call_1", changes=changes, status="inProgress")
    question = {"id": 7, "method": "item/fileChange/requestApproval", "params": {**WHERE, "itemId": "call_1"}}
    asked = told(STARTED, begun, question)[-1]
    assert isinstance(asked, ApprovalAsked)
    assert asked.input == {"changes": changes}


def test_an_interrupt_leaves_a_command_running() -> None:
    """The turn is over, the agent is busy; once what ran is ended it is idle. What that has said comes later."""
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
    late = parser.feed(encode(item("completed", **COMMAND, status="failed", exitCode=-1)))
    assert [type(event) for event in late] == [ToolResult]


def test_a_message_is_over_with_the_turn_that_was_begun_for_it() -> None:
    """Also where that is ended before the message is told of; the next turn has nothing to do with it."""
    start = sent(CODEX.say("c-1", "hello", "m-1", "r-1"))
    begun = {"id": start["id"], "result": {"turn": {"id": "t-1"}}}
    events = told(begun, STARTED, ended("interrupted"), STARTED, ended())
    ends = [(each.reason, each.message) for each in events if isinstance(each, TurnEnded)]
    assert ends == [(Reason.INTERRUPTED, "m-1"), (Reason.COMPLETED, "")]


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


def test_what_is_taken_back_is_told() -> None:
    """How conversations are sorted on the screen is not."""
    section = {"method": "thread/section/changed", "params": {"threadId": "c-1", "sectionId": "s-1"}}
    events = told(section, {"method": "thread/reverted", "params": {"threadId": "c-1"}})
    assert events == [Reverted(conversation="c-1")]


@pytest.mark.parametrize(
    ("policy", "sandbox", "strayed"),
    [
        ("untrusted", "dangerFullAccess", False),
        ("never", "dangerFullAccess", False),
        ("on-request", "readOnly", False),
        ("on-request", "workspaceWrite", False),
        ("on-request", "dangerFullAccess", True),
        ({"granular": {}}, "dangerFullAccess", True),
    ],
)
def test_settings_that_nobody_chose(policy: Any, sandbox: str, strayed: bool) -> None:
    """A terminal's own policy in a sandbox that is none: what is ours, and what a person can choose there, stays."""
    settings = {"approvalPolicy": policy, "sandboxPolicy": {"type": sandbox}}
    params = {"threadId": "c-1", "threadSettings": settings}
    events = told({"method": "thread/settings/updated", "params": params})
    assert events == ([SettingsStrayed(id="c-1", conversation="c-1")] if strayed else [])
