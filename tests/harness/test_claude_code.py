"""What Claude Code is told: what is its own about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.harness.claude_lines import CLAUDE, sent, told
from vibespace.errors import InvalidArgument
from vibespace.harness.base import Answer, Settings
from vibespace.harness.events import (
    ApprovalAsked,
    Source,
    TurnEnded,
    TurnStarted,
    Unparsed,
)
from vibespace.harness.reading import encode


def flags(argv: tuple[str, ...]) -> dict[str, Any]:
    """The settings on a command line."""
    found: dict[str, Any] = json.loads(argv[argv.index("--settings") + 1])
    return found


ASKED = ApprovalAsked(
    id="r-1", request="r-1", call="toolu_1", tool="Bash", input={"command": "rm x"}, rules=("Bash(rm x *)",)
)


def turns(steps: list[tuple[Source, dict[str, Any]]]) -> list[str]:
    """Which turns begin and end by the lines of several streams, in this order."""
    parser = CLAUDE.parser()
    events = [event for source, line in steps for event in parser.feed(encode(line), source)]
    marks = {TurnStarted: "+", TurnEnded: "-"}
    return [f"{marks[type(event)]}{event.id}" for event in events if type(event) in marks]


@pytest.mark.parametrize(("skip", "mode"), [(False, "default"), (True, "bypassPermissions")])
def test_both_doors_are_given_mode_and_model(skip: bool, mode: str) -> None:
    """Neither door is left to a mode or a model of its own choice."""
    settings = Settings(skip_permissions=skip)
    for argv in (
        CLAUDE.headless(settings, "c-1", resume=False).argv,
        CLAUDE.terminal(settings, "c-1", resume=True, hook="hook", directory="/w", env={}).argv,
    ):
        assert argv[argv.index("--permission-mode") + 1] == mode
        assert argv[argv.index("--model") + 1] == "default"


def test_a_conversation_is_begun_and_gone_on_with() -> None:
    """Its id is ours from the start."""
    begun, resumed = (CLAUDE.headless(Settings(), "c-1", resume=resume).argv for resume in (False, True))
    assert begun[begun.index("--session-id") + 1] == "c-1"
    assert resumed[resumed.index("--resume") + 1] == "c-1"


def test_settings_are_on_the_command_line() -> None:
    """Every setting reaches a process that is started, with nothing in files of the user's."""
    settings = Settings(
        model="opus",
        effort="high",
        max_turns=7,
        system_prompt="--be kind",
        allowed_tools=("Bash(git:*)",),
        disallowed_tools=("Bash(git push:*)",),
    )
    command = CLAUDE.headless(settings, "c-1", resume=False)
    assert command.argv[command.argv.index("--model") + 1] == "opus"
    assert command.argv[command.argv.index("--max-turns") + 1] == "7"
    assert "--append-system-prompt=--be kind" in command.argv
    assert flags(command.argv) == {
        "permissions": {"allow": ["Bash(git:*)"], "deny": ["Bash(git push:*)"]},
        "effortLevel": "high",
    }
    assert command.files == {}


def test_the_terminal_tells_our_hook() -> None:
    """What a person does there, and what it asks, comes by hooks; the one that asks may wait for a day."""
    hooks = flags(CLAUDE.terminal(Settings(), "c-1", resume=True, hook="tell it", directory="/w", env={}).argv)["hooks"]
    assert hooks["Stop"] == [{"hooks": [{"type": "command", "command": "tell it"}]}]
    assert hooks["PermissionRequest"] == [{"hooks": [{"type": "command", "command": "tell it", "timeout": 86400}]}]


def test_hooks_that_are_asked_for_are_known() -> None:
    """Nothing that the terminal is made to tell is left unparsed."""
    for hook in flags(CLAUDE.terminal(Settings(), "c-1", resume=True, hook="tell it", directory="/w", env={}).argv)[
        "hooks"
    ]:
        line = {"hook_event_name": hook, "session_id": "c-1", "prompt_id": "p-1"}
        assert not any(isinstance(event, Unparsed) for event in told(line, source=Source.HOOK))


@pytest.mark.parametrize(
    ("change", "subtypes", "restart"),
    [
        ({"model": "opus"}, ["set_model"], ()),
        ({"effort": "low"}, ["apply_flag_settings"], ()),
        ({"allowed_tools": ("Bash(git:*)", "Read")}, ["apply_flag_settings"], ()),
        ({"allowed_tools": ()}, [], ("allowed_tools",)),
        ({"disallowed_tools": ("Edit",)}, ["apply_flag_settings"], ()),
        ({"skip_permissions": True}, [], ("skip_permissions",)),
        ({"system_prompt": "be kind"}, [], ("system_prompt",)),
        ({"max_turns": 3}, [], ("max_turns",)),
        ({"model": "opus", "max_turns": 3}, ["set_model"], ("max_turns",)),
    ],
)
def test_what_needs_a_new_process(change: dict[str, Any], subtypes: list[str], restart: tuple[str, ...]) -> None:
    """A living process is told what it can be told; for the rest the settings are named."""
    old = Settings(allowed_tools=("Bash(git:*)",))
    update = CLAUDE.update("c-1", old, replace(old, **change), "r-1")
    assert [sent(line)["request"]["subtype"] for line in update.lines.values()] == subtypes
    assert update.restart == restart


def test_permissions_can_be_asked_for_again() -> None:
    """A process that asked nobody can be told to ask."""
    (line,) = CLAUDE.update("c-1", Settings(skip_permissions=True), Settings(), "r-1").lines.values()
    assert sent(line)["request"] == {"subtype": "set_permission_mode", "mode": "default"}


def test_a_slash_is_a_command_by_choice_only() -> None:
    """A message that begins with a slash is one of the program's commands only when it is meant as one."""
    said = [sent(CLAUDE.say("c-1", "/clear", "m-1", "r-1", command=command)) for command in (False, True)]
    assert [line["message"]["content"] for line in said] == [" /clear", "/clear"]


def test_allowed_for_longer_ends_with_the_process() -> None:
    """The rule is not written into the repository, as the program would have it."""
    response = sent(CLAUDE.answer(ASKED, Answer(True, rules=("Bash(rm x *)", "Read"))))["response"]
    assert response["request_id"] == "r-1"
    assert response["response"]["updatedInput"] == {"command": "rm x"}
    assert response["response"]["updatedPermissions"] == [
        {
            "type": "addRules",
            "rules": [{"toolName": "Bash", "ruleContent": "rm x *"}, {"toolName": "Read"}],
            "behavior": "allow",
            "destination": "session",
        }
    ]


def test_a_denial_has_its_reason() -> None:
    """The agent is told why, and goes on."""
    response = sent(CLAUDE.answer(ASKED, Answer(False, reason="not here")))["response"]["response"]
    assert response == {"behavior": "deny", "message": "not here", "interrupt": False}


def test_an_approval_of_the_terminal_is_answered_by_its_hook() -> None:
    """What the hook prints closes the dialog."""
    printed = sent(CLAUDE.answer(replace(ASKED, terminal=True), Answer(True)))
    assert printed["hookSpecificOutput"]["hookEventName"] == "PermissionRequest"
    assert printed["hookSpecificOutput"]["decision"]["behavior"] == "allow"


def test_a_request_of_tomorrow_is_declined() -> None:
    """What it asks and we do not know can be refused, so that it does not wait for ever."""
    (event,) = told({"type": "control_request", "request_id": "q-1", "request": {"subtype": "telepathy"}})
    assert isinstance(event, Unparsed)
    assert sent(CLAUDE.decline(event.request))["response"]["request_id"] == "q-1"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(effort="enormous"), "EFFORT_UNSUPPORTED"),
        (Settings(system_prompt="x" * 100_001), "PROMPT_TOO_LONG"),
        (Settings(allowed_tools=("Bash(",)), "TOOL_RULE_INVALID"),
        (Settings(system_prompt="be\0kind"), "ARGUMENT_INVALID"),
        (Settings(model="x" * 100_001), "MODEL_TOO_LONG"),
        (Settings(disallowed_tools=("Bash(ls:*)",) * 10_000), "RULES_TOO_LONG"),
        (Settings(allowed_tools=(f"Read({'é' * 20_000})",)), "RULES_TOO_LONG"),
    ],
)
def test_what_it_cannot_do_is_refused(settings: Settings, reason: str) -> None:
    """Never ignored."""
    with pytest.raises(InvalidArgument) as caught:
        CLAUDE.check(settings)
    assert caught.value.reason == reason


def test_what_is_long_but_taken_fits_into_arguments() -> None:
    """Linux takes 128 KiB of each."""
    rules = tuple(f"Bash(command-{number}:*)" for number in range(4000))
    settings = Settings(system_prompt="x" * 100_000, effort="medium", allowed_tools=rules, skip_permissions=True)
    CLAUDE.check(settings)
    argv = CLAUDE.terminal(settings, "c-1", resume=True, hook="hook " * 500, directory="/w", env={}).argv
    assert max(len(argument.encode()) for argument in argv) < 128 << 10
