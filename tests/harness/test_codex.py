"""Codex: what is its own about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from vibespace.errors import InvalidArgument
from vibespace.harness.base import Answer, Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import MOST_OPEN, MOST_THREADS
from vibespace.harness.events import (
    ApprovalAsked,
    ApprovalCancelled,
    Change,
    ConversationSwitched,
    Error,
    Event,
    FileChange,
    RateLimit,
    Replied,
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


@pytest.mark.parametrize(("skip", "policy"), [(False, "untrusted"), (True, "never")])
def test_it_asks_unless_it_is_told_not_to(skip: bool, policy: str) -> None:
    """The container is the sandbox, so that of the program's own none is used."""
    (line,) = CODEX.open(Settings(skip_permissions=skip), "", "/vibespace/demo", "r-1")
    params = sent(line)["params"]
    assert (params["approvalPolicy"], params["sandbox"]) == (policy, "danger-full-access")


def test_instructions_are_given_again_after_a_resume() -> None:
    """Those that are given with a resume have no effect."""
    _, line = CODEX.open(Settings(model="m", system_prompt="be kind"), "c-1", "/vibespace/demo", "r-1")
    assert sent(line)["method"] == "thread/settings/update"
    assert sent(line)["params"]["collaborationMode"]["settings"]["developer_instructions"] == "be kind"


def test_a_prompt_without_a_model_is_refused() -> None:
    """The program takes instructions after a resume beside a model only: without one, a new prompt would be lost."""
    with pytest.raises(InvalidArgument) as caught:
        CODEX.check(Settings(system_prompt="be kind"))
    assert (caught.value.reason, caught.value.field) == ("PROMPT_NEEDS_MODEL", "system_prompt")
    CODEX.check(Settings(model="m", system_prompt="be kind"))


@pytest.mark.parametrize(
    ("change", "lines", "restart"),
    [
        ({"model": "n"}, 1, ()),
        ({"effort": "low"}, 1, ()),
        ({"skip_permissions": True}, 1, ()),
        ({"system_prompt": "be kind"}, 1, ()),
        ({"max_turns": 3}, 0, ()),
        ({"allowed_tools": ("Bash(git:*)",)}, 0, ("allowed_tools",)),
        ({"model": ""}, 1, ("model",)),
        ({"model": "", "system_prompt": "x"}, 1, ("model", "system_prompt")),
    ],
)
def test_what_needs_a_new_process(change: dict[str, Any], lines: int, restart: tuple[str, ...]) -> None:
    """All but the rules is told to the living process; max_turns is counted, so that nobody need be told."""
    old = Settings(model="m")
    update = CODEX.update("c-1", old, replace(old, **change), "r-1")
    assert (len(update.lines), update.restart) == (lines, restart)
    assert CODEX.counted == {"max_turns"}


def test_a_message_steers_the_turn_it_names() -> None:
    """Without a turn it begins one; our id goes with both."""
    started, steered = (sent(CODEX.say("c-1", "hello", "m-1", turn=turn)) for turn in ("", "t-1"))
    assert (started["method"], steered["method"]) == ("turn/start", "turn/steer")
    assert steered["params"]["expectedTurnId"] == "t-1"
    assert {line["params"]["clientUserMessageId"] for line in (started, steered)} == {"m-1"}


def test_a_message_that_arrived_is_found() -> None:
    """Before it is sent again it is looked for, and told as if it came now."""
    (line,) = CODEX.look_up("c-1", "r-1")
    found = {"type": "userMessage", "id": "i-1", "clientId": "m-1", "content": [{"type": "text", "text": "hello"}]}
    events = told({"id": sent(line)["id"], "result": {"data": [{"turnId": "t-1", "item": found}]}})
    assert [event.message for event in events if isinstance(event, Text)] == ["m-1"]
    assert isinstance(events[-1], Replied)
    assert events[-1].request == "r-1"


def test_a_reply_is_to_the_conversation_that_was_asked_about() -> None:
    """Though the program is in another one by then: what ran in the first is ended, and its items are its own."""
    (listing,) = CODEX.look_up("c-1", "r-1")
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


@pytest.mark.parametrize(
    ("text", "command", "reason"),
    [("x" * ((1 << 20) + 1), False, "MESSAGE_TOO_LONG"), ("/compact", True, "COMMAND_UNSUPPORTED")],
    ids=["long", "command"],
)
def test_what_it_does_not_take_is_refused(text: str, command: bool, reason: str) -> None:
    """Before it is sent."""
    with pytest.raises(InvalidArgument) as caught:
        CODEX.say("c-1", text, "m-1", command=command)
    assert caught.value.reason == reason


def test_an_unknown_effort_is_refused() -> None:
    """Never ignored."""
    with pytest.raises(InvalidArgument) as caught:
        CODEX.check(Settings(effort="max"))
    assert caught.value.reason == "EFFORT_UNSUPPORTED"


def test_rules_are_in_a_file_of_ours() -> None:
    """They are there when a process starts, at both doors, beside what the user has."""
    settings = Settings(disallowed_tools=("Bash(git push:*)",))
    for command in (
        CODEX.headless(settings, "", resume=False),
        CODEX.terminal(settings, "c-1", resume=True, hook="hook"),
    ):
        assert command.files == {
            ".codex/rules/vibespace.rules": 'prefix_rule(pattern=["git", "push"], decision="forbidden")\n'
        }


@pytest.mark.parametrize(("conversation", "argv"), [("c-1", ("codex", "resume", "c-1")), ("", ("codex",))])
def test_a_terminal_goes_on_with_what_there_is(conversation: str, argv: tuple[str, ...]) -> None:
    """Nothing is resumed that has not begun."""
    assert CODEX.terminal(Settings(), conversation, resume=bool(conversation), hook="hook").argv == argv


ASKED = ApprovalAsked(id="call_1", request='"q-1"', call="call_1", tool="Bash", input={"command": "rm x"})


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (Answer(True), "accept"),
        (Answer(True, rules=("Bash(rm x)",)), "acceptForSession"),
        (Answer(False, reason="no"), "decline"),
    ],
)
def test_decisions(answer: Answer, decision: str) -> None:
    """Nothing is allowed for longer than the conversation is open, and a denial does not end the turn."""
    assert sent(CODEX.answer(ASKED, answer)) == {"id": "q-1", "result": {"decision": decision}}


def test_permissions_are_granted_as_asked_or_not_at_all() -> None:
    """A request for more than one call has an answer of its own."""
    permissions = {"network": {"enabled": True}}
    frame = {"id": 7, "method": "item/permissions/requestApproval", "params": {**WHERE, "permissions": permissions}}
    (asked,) = told(frame)
    assert isinstance(asked, ApprovalAsked)
    granted, denied = (sent(CODEX.answer(asked, Answer(allow)))["result"] for allow in (True, False))
    assert granted == {"permissions": permissions, "scope": "turn"}
    assert denied == {"permissions": {}, "scope": "turn"}


def test_a_change_to_files_is_shown_before_it_is_decided() -> None:
    """The question has only the item's name; what would be changed is known from the item."""
    changes = [{"path": "a", "kind": {"type": "add"}, "diff": "+x"}]
    begun = item("started", type="fileChange", id="call_1", changes=changes, status="inProgress")
    question = {"id": 7, "method": "item/fileChange/requestApproval", "params": {**WHERE, "itemId": "call_1"}}
    asked = told(STARTED, begun, question)[-1]
    assert isinstance(asked, ApprovalAsked)
    assert asked.input == {"changes": changes}


def test_a_request_of_tomorrow_is_declined() -> None:
    """What it asks and we do not know can be refused, so that the turn does not wait for ever."""
    (event,) = told({"id": 7, "method": "mind/read", "params": WHERE})
    assert isinstance(event, Unparsed)
    assert sent(CODEX.decline(event.request))["id"] == 7


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
        (None, Trouble.OTHER, None),
    ],
)
def test_what_an_error_is_about(info: Any, trouble: Trouble, status: int | None) -> None:
    """The program's words for it become ours, and whether it tries again."""
    params = {**WHERE, "willRetry": True, "error": {"message": "it failed", "codexErrorInfo": info}}
    (event,) = told({"method": "error", "params": params})
    assert isinstance(event, Error)
    assert (event.trouble, event.status, event.text, event.retrying) == (trouble, status, "it failed", True)


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


def question(number: int, thread: str = "c-1") -> dict[str, Any]:
    params = {"threadId": thread, "turnId": "t-1", "itemId": f"call_{number}", "command": "x" * 1000}
    return {"id": number, "method": "item/commandExecution/requestApproval", "params": params}


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


def test_a_person_begins_another_thread() -> None:
    """What is begun on the attached terminal is a switch."""
    events = told({"method": "thread/started", "params": {"thread": {"id": "c-2", "ephemeral": False}}})
    assert events == [ConversationSwitched(id="c-2", conversation="c-2", previous="")]
