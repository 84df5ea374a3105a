"""What Claude Code's transcript and hooks tell: of what is typed on its own terminal, and when a turn is over there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.claude_lines import CLAUDE, INIT, TOOK, only, prompted, stopped, told, turns, typed
from vibespace.harness.events import (
    ApprovalCancelled,
    Error,
    Reason,
    Source,
    Text,
    ToolProgress,
    ToolResult,
    Trouble,
    TurnEnded,
    TurnStarted,
    Unparsed,
    WorkEnded,
)
from vibespace.harness.reading import encode


def test_a_hook_tells_that_a_request_failed() -> None:
    """A typed turn is over then, a helper's failure ends none."""
    begun = {"hook_event_name": "UserPromptSubmit", "session_id": "c-1", "prompt_id": "p-1"}
    failed = {**begun, "hook_event_name": "StopFailure", "error": "rate_limit"}
    ends = only(told(begun, {**failed, "agent_id": "a-1"}, failed, source=Source.HOOK), TurnEnded)
    found = [(end.reason, end.detail, end.trouble) for end in ends if isinstance(end, TurnEnded)]
    assert found == [(Reason.FAILED, "rate_limit", Trouble.RATE_LIMIT)]


def test_a_message_that_joined_the_turn_is_in_the_transcript() -> None:
    """It stands there as an attachment, by the id that we gave it; with what else was pasted."""
    line: dict[str, Any] = {
        "type": "attachment",
        "uuid": "u-9",
        "sessionId": "c-1",
        "entrypoint": "sdk-cli",
        "attachment": {"type": "queued_command", "source_uuid": "m-2"},
    }
    with_image = [{"type": "text", "text": "and this"}, {"type": "image", "source": {}}]
    for prompt in ("and this", with_image):
        (event,) = told({**line, "attachment": {**line["attachment"], "prompt": prompt}}, source=Source.RECORD)
        assert event == Text(id="m-2", message="m-2", text="and this", by_user=True, conversation="c-1")


def test_hooks_and_transcript_tell_one_turn() -> None:
    """A turn that hooks have told of is not begun or ended a second time by the transcript."""
    parser = CLAUDE.parser()
    hook = {"session_id": "c-1", "prompt_id": "p-1"}
    where = {"sessionId": "c-1", "entrypoint": "cli"}
    steps: list[tuple[Source, dict[str, Any]]] = [
        (Source.HOOK, {**hook, "hook_event_name": "UserPromptSubmit"}),
        (Source.RECORD, {**where, "type": "user", "promptId": "p-1", "uuid": "u-1", "message": {"content": "hi"}}),
        (Source.HOOK, {**hook, "hook_event_name": "Stop", "background_tasks": []}),
        (Source.RECORD, {**where, "type": "system", "subtype": "turn_duration", "uuid": "u-2"}),
    ]
    events = [event for source, line in steps for event in parser.feed(encode(line), source)]
    assert [type(event) for event in events] == [TurnStarted, Text, TurnEnded, WorkEnded]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([prompted("p-1"), stopped("p-1"), typed("p-1"), TOOK], ["+p-1", "-p-1"]),
        (
            [prompted("p-1"), stopped("p-1"), typed("p-1"), prompted("p-2"), TOOK, typed("p-2"), stopped("p-2"), TOOK],
            ["+p-1", "-p-1", "+p-2", "-p-2"],
        ),
        (
            [prompted("p-1"), stopped("p-1"), prompted("p-2"), stopped("p-2"), typed("p-1"), TOOK, typed("p-2"), TOOK],
            ["+p-1", "-p-1", "+p-2", "-p-2"],
        ),
        ([prompted("p-1"), prompted("p-2"), stopped("p-2")], ["+p-1", "-p-1", "+p-2", "-p-2"]),
        (
            [prompted("p-1"), prompted("p-2"), typed("p-1"), typed("p-1", "[Request interrupted by user]")],
            ["+p-1", "-p-1", "+p-2"],
        ),
    ],
    ids=["late", "late-by-its-end", "late-by-two-turns", "end-not-told", "late-interrupt"],
)
def test_a_transcript_behind_the_hooks_begins_and_ends_nothing(
    steps: list[tuple[Source, dict[str, Any]]], expected: list[str]
) -> None:
    """A turn begins and ends once, whichever stream is first, and lines of one that is over do not touch the next."""
    assert turns(steps) == expected


def test_what_the_program_says_in_the_models_place_is_no_answer() -> None:
    """It writes so for the record, where a turn was interrupted before there was one."""
    message = {"model": "<synthetic>", "content": [{"type": "text", "text": "No response requested."}]}
    line = {"type": "assistant", "uuid": "a-1", "sessionId": "c-1", "message": message}
    assert told(line, source=Source.RECORD) == []
    assert only(told({**line, "message": {**message, "model": "opus"}}, source=Source.RECORD), Text)


def test_what_nobody_typed_is_nobodys_words() -> None:
    """What a command for the shell printed, and that something in the background is over; the command was typed."""
    line = {"type": "user", "uuid": "u-2", "parentUuid": "u-1", "sessionId": "c-1", "entrypoint": "cli"}
    words = {
        "typed": "<bash-input> ls -l</bash-input>",
        "printed": "<bash-stdout>a b</bash-stdout><bash-stderr>no</bash-stderr>",
        "over": "<task-notification>\n<tool-use-id>t-1</tool-use-id>\n<summary>It ended</summary>",
    }
    notice = {"origin": {"kind": "task-notification"}}
    typed, printed, over = (
        told({**line, **more, "message": {"content": words[name]}}, source=Source.RECORD)
        for name, more in (("typed", {}), ("printed", {}), ("over", notice))
    )
    assert [(each.text, each.by_user) for each in typed if isinstance(each, Text)] == [("! ls -l", True)]
    assert [(each.call, each.text) for each in printed if isinstance(each, ToolResult)] == [("u-1", "a bno")]
    assert [(each.call, each.text) for each in over if isinstance(each, ToolProgress)] == [("t-1", "It ended")]
    assert not only(printed + over, Text)
    sent = "<command-name>/x</command-name> why?", "<local-command-stdout>x</local-command-stdout> why?"
    interrupt = "[Request interrupted by user]"
    begun = (*words.values(), *sent, interrupt, f"{interrupt}, and then?")
    for begins in begun:  # what was sent may begin so, and a prompt that was typed, be it while the program works
        ways = (
            ({"promptSource": "typed"}, ""),
            ({"promptSource": "queued"}, ""),
            ({"entrypoint": "sdk-cli", "promptSource": "sdk"}, "u-2"),
        )
        for how, id in ways:
            events = told({**line, **how, "message": {"content": begins}}, source=Source.RECORD)
            [said] = [event for event in events if isinstance(event, Text)]
            assert (said.text, said.by_user, said.message) == (begins, True, id)


def test_what_a_changed_setting_prints_is_nobodys_words() -> None:
    """The headless program repeats it before the next message; the model hears it, and nobody has said it."""
    words = "<local-command-stdout>Set model to `sonnet`</local-command-stdout>"
    printed = {"type": "user", "uuid": "u-1", "isReplay": True, "message": {"content": words}}
    asked = {**printed, "uuid": "m-1", "message": {"content": "hi"}}
    said = [event for event in told(printed, INIT, asked) if isinstance(event, Text)]
    assert [(each.text, each.message) for each in said] == [("hi", "m-1")]


def test_messages_that_were_taken_up_as_one_are_all_told() -> None:
    """Their line has the id of the last; what the others were is known to who sent them."""
    line = {
        "type": "user",
        "uuid": "m-3",
        "sessionId": "c-1",
        "entrypoint": "sdk-cli",
        "message": {"content": "a\nb\nc"},
    }
    events = told({**line, "mergedSendUuids": ["m-1", "m-2", 3, "m" * 501]}, source=Source.RECORD)
    assert [(each.message, each.text) for each in events if isinstance(each, Text)] == [
        (name, "a\nb\nc") for name in ("m-1", "m-2", "m-3")
    ]


def test_a_turn_that_a_hook_of_the_users_own_sends_on_is_another() -> None:
    """Its end was told by then; the hook's words are nobody's, on both doors."""
    words = "Stop hook feedback:\n[check]: go on"
    line: dict[str, Any] = {"sessionId": "c-1", "entrypoint": "cli"}
    feedback = {**line, "type": "user", "uuid": "u-5", "isMeta": True, "message": {"content": words}}
    answer = {**line, "type": "assistant", "uuid": "u-6", "message": {"content": [{"type": "text", "text": "more"}]}}
    later = [(Source.RECORD, feedback), (Source.RECORD, answer), stopped("p-1")]
    assert turns([typed("p-1"), stopped("p-1"), *later]) == ["+p-1", "-p-1", "+u-5", "-u-5"]
    said = {"content": [{"type": "text", "text": words}]}
    assert told({"type": "user", "uuid": "u-7", "isSynthetic": True, "message": said}) == []


def test_who_quotes_an_interrupt_has_typed_a_prompt() -> None:
    """The program's own words for one are a whole line."""
    quoted = typed("p-1", "[Request interrupted by user], it said; why?")[1]
    assert [type(event) for event in told(quoted, source=Source.RECORD)] == [TurnStarted, Text]


def test_what_a_branch_begins_with_is_told_already() -> None:
    """The new transcript has all of the former again."""
    line = {"type": "user", "uuid": "u-1", "sessionId": "c-2", "entrypoint": "cli", "message": {"content": "hi"}}
    assert told({**line, "forkedFrom": {"sessionId": "c-1", "messageUuid": "u-1"}}, source=Source.RECORD) == []
    assert only(told(line, source=Source.RECORD), Text)


@pytest.mark.parametrize("late", [False, True])
def test_what_is_said_on_the_terminal_is_of_its_turn_and_conversation(late: bool) -> None:
    """Also where the hook that tells of the turn's end is there before it; of two ids of conversations, the line's."""
    words = {"content": [{"type": "text", "text": "done"}]}
    answer = {"type": "assistant", "uuid": "u-1", "entrypoint": "cli", "sessionId": "c-2", "session_id": "c-1"}
    steps = [prompted("p-1"), typed("p-1"), (Source.RECORD, {**answer, "message": words}), stopped("p-1")]
    parser = CLAUDE.parser()
    for at in (0, 1, 3, 2) if late else range(4):
        told = parser.feed(encode(steps[at][1]), steps[at][0])
        said = [(event.turn, event.conversation) for event in told if isinstance(event, Text) and not event.by_user]
        assert said == ([("p-1", "c-2")] if at == 2 else [])


@pytest.mark.parametrize(
    "line",
    [
        {"type": "assistant", "isApiErrorMessage": True, "message": {"content": [{"type": "text", "text": "refused"}]}},
        {"type": "user", "message": {"content": "[Request interrupted by user]"}},
        {"type": "user", "promptId": "p-9", "message": {"content": "look there"}},
    ],
    ids=["failed", "interrupted", "told"],
)
def test_a_helper_does_not_end_the_turn(line: dict[str, Any]) -> None:
    """What goes wrong with a helper of the agent, or is said to it, is not of the turn itself; what waits goes on."""
    asked = {"hook_event_name": "PermissionRequest", "session_id": "c-1", "request_id": "q-1", "tool_name": "Bash"}
    helper = {"sessionId": "c-1", "entrypoint": "cli", "isSidechain": True, "uuid": "u-9", **line}
    parser = CLAUDE.parser()
    for source, said in (prompted("p-1"), typed("p-1"), (Source.HOOK, asked)):
        parser.feed(encode(said), source)
    told = parser.feed(encode(helper), Source.RECORD)
    assert [event for event in told if isinstance(event, TurnStarted | TurnEnded | ApprovalCancelled)] == []


IN_TAGS = """<command-name>/{0}</command-name>
            <command-message>{0}</command-message>
            <command-args>{1}</command-args>"""


def printed(turn: str, words: str) -> tuple[Source, dict[str, Any]]:
    return typed(turn, f"<local-command-stdout>{words}</local-command-stdout>")


def test_a_command_of_the_program_is_no_turn() -> None:
    """It is carried out when the transcript has it; what is asked next may have its id, and is one."""
    cleared = typed("p-1", IN_TAGS.format("clear", ""))
    left = (Source.HOOK, {"hook_event_name": "SessionEnd", "session_id": "c-1", "prompt_id": "p-1"})
    assert turns([cleared, printed("p-1", "")]) == []
    assert turns([cleared, printed("p-1", "See ya!"), left]) == []
    assert turns([cleared, printed("p-1", ""), prompted("p-1"), typed("p-1"), stopped("p-1")]) == ["+p-1", "-p-1"]


def test_a_command_amid_a_turn_is_none_of_it() -> None:
    """What is interrupted after it is the turn."""
    asked = [prompted("p-1"), typed("p-1"), typed("p-2", IN_TAGS.format("model", "sonnet")), printed("p-2", "Set")]
    assert turns([*asked, typed("p-1", "[Request interrupted by user]")]) == ["+p-1", "-p-1"]


def test_a_command_is_told_as_it_was_typed() -> None:
    """Without the program's tags; what it printed is no message. One for the model is a prompt like others."""
    for_model = "<command-message>greet</command-message>\n<command-name>/greet</command-name>"
    steps = [
        typed("p-1", IN_TAGS.format("model", "sonnet")),
        printed("p-1", "Set model to `Sonnet 5.5`"),
        (Source.RECORD, {"type": "system", "subtype": "local_command", "content": IN_TAGS.format("usage", "")}),
        (Source.RECORD, {"type": "system", "subtype": "local_command", "content": "<local-command-stderr>no"}),
        typed("p-2", f"{for_model}\n<command-args>a <b> & 'c'</command-args>"),
        typed("p-3", f"what is {IN_TAGS}?"),
    ]
    parser = CLAUDE.parser()
    events = [event for source, line in steps for event in parser.feed(encode(line), source)]
    said = [(event.text, event.turn) for event in events if isinstance(event, Text) and event.by_user]
    assert said == [
        ("/model sonnet", ""),
        ("/usage", ""),
        ("/greet a <b> & 'c'", "p-2"),
        (f"what is {IN_TAGS}?", "p-3"),
    ]
    assert len(said) == len(only(events, Text))
    assert only(events, Unparsed) == []


def test_who_leaves_ends_what_ran_in_the_background() -> None:
    """Also where no turn is open that would be over."""
    stops = {**stopped("p-1")[1], "background_tasks": [{}]}
    left = {"hook_event_name": "SessionEnd", "session_id": "c-1", "request_id": "q-1"}
    events = told(prompted("p-1")[1], stops, left, left, source=Source.HOOK)
    assert only(events, WorkEnded) == [WorkEnded(id="q-1", conversation="c-1")]


@pytest.mark.parametrize("used", [False, True])
def test_a_hook_that_ended_unanswered_asks_no_more(used: bool) -> None:
    """The person has decided in the dialog; where the tool's run has told that already, there is nothing to add."""
    asked = {"hook_event_name": "PermissionRequest", "session_id": "c-1", "request_id": "q-1", "tool_name": "Bash"}
    runs = {"hook_event_name": "PostToolUse", "session_id": "c-1", "tool_use_id": "t-1", "tool_name": "Bash"}
    gone = {"hook_event_name": "PermissionRequestGone", "request_id": "q-1"}
    parser = CLAUDE.parser()
    for source, said in (prompted("p-1"), (Source.HOOK, asked), *([(Source.HOOK, runs)] if used else [])):
        parser.feed(encode(said), source)
    cancelled = ApprovalCancelled(id="q-1", request="q-1", conversation="c-1", turn="p-1")
    assert parser.feed(encode(gone), Source.HOOK) == (() if used else (cancelled,))
    assert parser.feed(encode(gone), Source.HOOK) == ()


def test_a_typed_turn_whose_request_failed_is_over() -> None:
    """The transcript tells of it by the error alone, and has no line of how long it took."""
    where = {"sessionId": "c-1", "entrypoint": "cli"}
    typed = {**where, "type": "user", "promptId": "p-1", "uuid": "u-1", "message": {"content": "hi"}}
    words = {"content": [{"type": "text", "text": "API Error: refused"}]}
    failed = {**where, "type": "assistant", "uuid": "u-2", "isApiErrorMessage": True, "message": words}
    failed["error"] = "authentication_failed"
    events = told(typed, failed, source=Source.RECORD)
    assert [type(event) for event in events] == [TurnStarted, Text, Error, TurnEnded, WorkEnded]
    end = events[3]
    assert isinstance(end, TurnEnded)
    assert (end.reason, end.detail, end.trouble) == (Reason.FAILED, "API Error: refused", Trouble.LOGIN)
