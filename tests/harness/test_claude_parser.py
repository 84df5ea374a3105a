"""What Claude Code tells: what is its own about it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import recorded
from tests.harness.claude_lines import CLAUDE, INIT, RESULT, only, sent, told
from vibespace.harness.base import Settings
from vibespace.harness.claude_approvals import MOST_OPEN
from vibespace.harness.events import (
    ApprovalAnswered,
    ApprovalAsked,
    ApprovalCancelled,
    Change,
    ConversationSwitched,
    Delta,
    Error,
    FileChange,
    MessageDropped,
    RateLimit,
    Reason,
    Reasoning,
    Replied,
    Source,
    Stream,
    Text,
    ToolProgress,
    Trouble,
    TurnEnded,
    Unparsed,
    WorkEnded,
)


def test_one_question_too_many_can_be_declined() -> None:
    """It is not kept, but neither does the program wait for ever."""
    asked = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "x"}}
    lines = [
        {"type": "control_request", "request_id": f"q-{number}", "request": {**asked, "tool_use_id": f"call-{number}"}}
        for number in range(MOST_OPEN + 1)
    ]
    events = told(INIT, *lines)[2:]
    assert {type(event) for event in events[:-1]} == {ApprovalAsked}
    assert isinstance(events[-1], Unparsed)
    assert events[-1].request == f"q-{MOST_OPEN}"


ASKED = {"type": "control_request", "request": {"subtype": "can_use_tool", "tool_name": "Bash"}}
HOOKED = {"hook_event_name": "PermissionRequest", "tool_name": "Bash"}


@pytest.mark.parametrize(("line", "source"), [(ASKED, Source.OUTPUT), (HOOKED, Source.HOOK)])
def test_a_question_that_no_answer_can_name_is_none(line: dict[str, Any], source: Source) -> None:
    """It does not wait for a decision, which nobody could be told."""
    assert told(line, source=source) == [Unparsed(why="a question without an id", kind="Bash")]


def test_one_message_at_both_doors_has_one_name() -> None:
    """What standard output told, the transcript tells again under the same class and id, also of a turn's parts."""
    line = {"type": "assistant", "uuid": "u-1", "message": {"id": "msg_1", "content": [
        {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hello"},
    ]}}  # fmt: skip
    output = told({**line, "session_id": "c-1"})
    record = told({**line, "sessionId": "c-1", "parentUuid": "u-0", "entrypoint": "sdk-cli"}, source=Source.RECORD)
    assert output == record
    assert [(type(event), event.id) for event in output] == [(Reasoning, "u-1"), (Text, "u-1#1")]


def test_deltas_belong_to_the_text_that_follows() -> None:
    """A block is called alike in its pieces and as a whole, and its pieces make the whole."""
    events = recorded.events("claude_stream")
    whole = {event.block: event.text for event in events if isinstance(event, Text)}
    pieces = {
        block: "".join(e.text for e in events if isinstance(e, Delta) and e.block == block and e.stream is Stream.TEXT)
        for block in whole
    }
    assert pieces == whole


def test_an_answer_is_known_by_what_came_of_the_call() -> None:
    """The program does not repeat a decision; the result says it."""
    answers = only(recorded.events("claude_approval"), ApprovalAnswered)
    assert [event.allowed for event in answers if isinstance(event, ApprovalAnswered)] == [True, False]


def test_an_interrupt_cancels_what_was_asked() -> None:
    """Nobody is left to answer, and the turn is not called completed."""
    events = recorded.events("claude_interrupt")
    ends = [event.reason for event in events if isinstance(event, TurnEnded)]
    assert ends == [Reason.INTERRUPTED, Reason.COMPLETED, Reason.COMPLETED]
    assert len(only(events, ApprovalCancelled)) == 1


def test_background_work_keeps_it_busy() -> None:
    """It is idle only when what the turn left running has ended, too."""
    background = {"type": "system", "subtype": "background_tasks_changed", "uuid": "b-1"}
    busy = told(INIT, {**background, "tasks": [{"task_id": "1"}]}, RESULT)
    assert only(busy, WorkEnded) == []
    ended = told(INIT, {**background, "tasks": [{"task_id": "1"}]}, RESULT, {**background, "tasks": []})
    assert isinstance(ended[-1], WorkEnded)


def test_housekeeping_is_no_work() -> None:
    """Tasks of the program's own do not keep it busy."""
    background = {"type": "system", "subtype": "background_tasks_changed", "tasks": [{"task_id": "1", "ambient": True}]}
    assert only(told(INIT, background, RESULT), WorkEnded)


def test_the_cost_is_the_turns() -> None:
    """The sum that begins anew after a crash is not used."""
    models = {"a": {"costUSD": 0.25}, "b": {"costUSD": 0.000001}}
    ends = only(told(INIT, {**RESULT, "total_cost_usd": 99, "model_usage_since_last_result": models}), TurnEnded)
    assert [event.cost for event in ends if isinstance(event, TurnEnded)] == [250_001]


@pytest.mark.parametrize("dollars", [1e300, -1e300, -1.0])
def test_a_cost_that_nobody_could_pay_is_not_told(dollars: float) -> None:
    """It is as if the program had not counted it."""
    models = {"a": {"costUSD": dollars}}
    ends = only(told(INIT, {**RESULT, "model_usage_since_last_result": models}), TurnEnded)
    assert [event.cost for event in ends if isinstance(event, TurnEnded)] == [None]


def test_a_prompt_that_a_hook_of_the_users_own_refuses_has_failed() -> None:
    """In the hook's words, though the program itself says that all went well; the next turn is another matter."""
    told_so = "UserPromptSubmit operation blocked by hook:\n[check]: not today"
    said = {"type": "system", "subtype": "informational", "content": f"{told_so}\n\n\nOriginal prompt: hello"}
    events = told(
        INIT,
        {**said, "prompt_submit_outcome": {"kind": "blocked_by_hook"}},
        RESULT,
        {**INIT, "uuid": "t-2"},
        {**RESULT, "uuid": "r-2"},
    )
    ends = [(each.reason, each.detail, each.trouble) for each in events if isinstance(each, TurnEnded)]
    assert ends == [(Reason.FAILED, told_so, Trouble.OTHER), (Reason.COMPLETED, "", None)]
    assert [each.text for each in events if isinstance(each, Error)] == [told_so]
    assert only(told(said), Unparsed)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"subtype": "success"}, Reason.COMPLETED),
        ({"subtype": "error_max_turns", "is_error": True}, Reason.TURN_LIMIT),
        (
            {"subtype": "error_during_execution", "is_error": True, "terminal_reason": "aborted_tools"},
            Reason.INTERRUPTED,
        ),
        ({"subtype": "success", "is_error": True, "terminal_reason": "api_error"}, Reason.FAILED),
    ],
)
def test_why_a_turn_ended(result: dict[str, Any], reason: Reason) -> None:
    """The program's words for it become ours."""
    (end,) = only(told(INIT, {**RESULT, **result}), TurnEnded)
    assert isinstance(end, TurnEnded)
    assert end.reason is reason


@pytest.mark.parametrize(
    ("status", "error", "trouble"),
    [
        (429, "rate_limit", Trouble.RATE_LIMIT),
        (529, "overloaded", Trouble.OVERLOADED),
        (529, "server_error", Trouble.OVERLOADED),
        (401, "authentication_failed", Trouble.LOGIN),
        (404, "model_not_found", Trouble.MODEL),
        (None, "unknown", Trouble.UNREACHABLE),
        (500, "server_error", Trouble.OVERLOADED),
        (400, "invalid_request", Trouble.OTHER),
    ],
)
def test_a_retry_says_what_is_wrong(status: int | None, error: str, trouble: Trouble) -> None:
    """While it tries again by itself, it is told what the trouble is."""
    line = {"type": "system", "subtype": "api_retry", "error_status": status, "error": error, "attempt": 1}
    (event,) = told(line)
    assert isinstance(event, Error)
    assert (event.trouble, event.status, event.retrying) == (trouble, status, True)


@pytest.mark.parametrize(
    ("told_of", "words", "trouble"),
    [
        ({"error": "authentication_failed", "api_error_status": 401}, "Invalid API key", Trouble.LOGIN),
        ({"error": "authentication_failed"}, "Not logged in", Trouble.LOGIN),
        ({"error": "model_not_found", "api_error_status": 404}, "There's an issue with the model", Trouble.MODEL),
        ({"error": "rate_limit", "api_error_status": 429}, "Request rejected", Trouble.RATE_LIMIT),
        ({"error": "server_error", "api_error_status": 529}, "529 Overloaded", Trouble.OVERLOADED),
        ({"error": "server_error", "api_error": "connection_failed"}, "Connection dropped", Trouble.UNREACHABLE),
        ({"error": "billing_error", "api_error_status": 400}, "Credit balance is too low", Trouble.BILLING),
        ({"error": "invalid_request", "api_error_status": 400}, "Prompt is too long", Trouble.CONTEXT),
        ({"error": "server_error"}, "Request timed out. If the API is slow", Trouble.UNREACHABLE),
        ({"error": "invalid_request", "api_error_status": 400}, "What?", Trouble.OTHER),
    ],
)
def test_what_a_failed_turn_is_about(told_of: dict[str, Any], words: str, trouble: Trouble) -> None:
    """The end's own line does not say it, the error before it does; a turn after it has nothing of that."""
    said = {"type": "assistant", "uuid": "u-1", "session_id": "c-1", "is_api_error_message": True, **told_of}
    failed = {**RESULT, "is_error": True, "result": words, "terminal_reason": "api_error"}
    lines = (INIT, {**said, "message": {"content": [{"type": "text", "text": words}]}}, failed)
    events = told(*lines, {**INIT, "uuid": "t-2"}, {**RESULT, "uuid": "r-2"})
    (error,) = (event for event in events if isinstance(event, Error))
    assert (error.trouble, error.text, error.status) == (trouble, words, told_of.get("api_error_status"))
    ends = [(event.detail, event.trouble) for event in events if isinstance(event, TurnEnded)]
    assert ends == [(words, trouble), ("", None)]


def test_clear_begins_another_conversation() -> None:
    """A new id in `init` is a switch, the same one is none."""
    events = told(INIT, RESULT, INIT, RESULT, {**INIT, "session_id": "c-2"})
    switches = [event for event in events if isinstance(event, ConversationSwitched)]
    assert [(event.previous, event.conversation) for event in switches] == [("", "c-1"), ("c-1", "c-2")]


def test_a_refused_request_says_why() -> None:
    """What the program will not do is not taken for done."""
    line = {"type": "control_response", "response": {"subtype": "error", "request_id": "r-1-mode", "error": "no"}}
    assert told(line) == [Replied(id="r-1-mode", request="r-1-mode", refusal="no")]


def test_each_line_of_a_request_has_a_reply_of_its_own() -> None:
    """A refusal is not taken for a repeat of what was done before it."""
    update = CLAUDE.update("c-1", Settings(), Settings(model="opus", effort="low"), "r-1")
    names = [sent(line)["request_id"] for line in update.lines.values()]
    events = told(*({"type": "control_response", "response": {"subtype": "success", "request_id": n}} for n in names))
    assert [event.request for event in events if isinstance(event, Replied)] == [*update.lines]
    assert len({event.id for event in events}) == 2


def test_a_dropped_message_is_told() -> None:
    """What will never be taken up is not waited for."""
    line = {"type": "command_lifecycle", "command_uuid": "m-1", "state": "discarded", "session_id": "c-1"}
    assert told(line) == [MessageDropped(id="m-1", conversation="c-1")]


def test_the_end_of_a_turn_names_the_message_that_it_took() -> None:
    """Some are never repeated: a command that there is not here, and what is blank to the program."""
    taken = {"type": "command_lifecycle", "command_uuid": "m-1", "state": "started", "session_id": "c-1"}
    begun = {"type": "system", "subtype": "init", "uuid": "t-1", "session_id": "c-1"}
    over = {"type": "result", "subtype": "success", "uuid": "r-1", "session_id": "c-1"}
    ends = [event for event in told(taken, begun, over, begun, over) if isinstance(event, TurnEnded)]
    assert [end.message for end in ends] == ["m-1", ""]


def test_a_helper_is_told_apart() -> None:
    """What a helper of the agent says names the call that it works for."""
    line = {"type": "assistant", "uuid": "u-1", "parent_tool_use_id": "toolu_1", "message": {"content": [
        {"type": "text", "text": "hello"}]}}  # fmt: skip
    assert [event.parent for event in told(line)] == ["toolu_1"]


def test_an_edit_shows_what_it_changed() -> None:
    """The program's own account of an edit becomes a diff."""
    line = {
        "type": "user",
        "uuid": "u-1",
        "message": {"content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]},
        "tool_use_result": {
            "filePath": "/vibespace/demo/a",
            "structuredPatch": [{"oldStart": 1, "oldLines": 1, "newStart": 1, "newLines": 1, "lines": ["-a", "+b"]}],
        },
    }
    (change,) = only(told(line), FileChange)
    assert isinstance(change, FileChange)
    assert (change.path, change.change, change.diff) == (
        "/vibespace/demo/a",
        Change.MODIFIED,
        "@@ -1,1 +1,1 @@\n-a\n+b",
    )


def test_a_rate_limit_is_in_percent() -> None:
    """How much is used, until when, and whether it is reached."""
    info = {"status": "rejected", "rateLimitType": "five_hour", "utilization": 1.0, "resetsAt": 1_800_000_000}
    (event,) = told({"type": "rate_limit_event", "rate_limit_info": info, "uuid": "u-1"})
    expected = RateLimit(id="u-1", window="five_hour", percent=100, resets=1_800_000_000, reached=True)
    assert event == expected


def test_progress_of_a_tool() -> None:
    """A tool that says nothing shows how long it runs."""
    (event,) = told({"type": "tool_progress", "tool_use_id": "toolu_1", "elapsed_time_seconds": 30})
    assert event == ToolProgress(call="toolu_1", seconds=30)


def replayed(words: str, name: str) -> dict[str, Any]:
    return {"type": "user", "message": {"content": words}, "session_id": "c-1", "uuid": name, "isReplay": True}


def test_messages_that_waited_are_taken_up_together() -> None:
    """Each is told once, by its own id and in the turn that begins with them, though the last has all words."""
    waited = (replayed("one", "m-1"), replayed("two", "m-2"))
    events = told(RESULT, *waited, {**INIT, "uuid": "t-2"}, replayed("one\ntwo\nthree\nfour", "m-3"))
    said = [(event.message, event.text, event.turn) for event in events if isinstance(event, Text)]
    assert said == [("m-1", "one", "t-2"), ("m-2", "two", "t-2"), ("m-3", "three\nfour", "t-2")]
    later = told(*waited, INIT, RESULT)
    assert [event.message for event in later if isinstance(event, Text)] == ["m-1", "m-2"]
    assert isinstance(later[-1], WorkEnded)


def test_a_message_that_it_had_already_is_in_no_turn() -> None:
    """It says so by its repeat, when that is completed at once."""
    done = {"type": "command_lifecycle", "command_uuid": "m-1", "state": "completed"}
    events = told(replayed("one", "m-1"), done, done)
    assert [(event.message, event.turn) for event in events if isinstance(event, Text)] == [("m-1", "")]
    many = told(*(replayed("one", f"m-{number}") for number in range(1000)))
    assert len(only(many, Text)) == 9 * 101  # nobody waits for what so many of them mean


def test_a_title_is_nothing_of_the_conversation() -> None:
    """The program gives one, and says so at each door; what it may say besides stays visible."""
    where = {"type": "system", "uuid": "u-1", "session_id": "c-1"}
    assert told({**where, "subtype": "session_title_changed", "title": "mend the mill"}) == []
    unknown = Unparsed(id="u-1", conversation="c-1", why="unknown kind", kind="system/session_sung")
    assert told({**where, "subtype": "session_sung"}) == [unknown]
