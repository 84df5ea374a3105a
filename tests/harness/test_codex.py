"""What Codex is told: what is its own about it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.harness.codex_frames import CODEX, WHERE, sent, told
from vibespace.errors import InvalidArgument
from vibespace.harness.base import Answer, Settings
from vibespace.harness.events import ApprovalAsked, Unparsed

ASKED = ApprovalAsked(id="call_1", request='"q-1"', call="call_1", tool="Bash", input={"command": "rm x"})


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
    started, steered = (sent(CODEX.say("c-1", "hello", "m-1", "r-1", turn=turn)) for turn in ("", "t-1"))
    assert (started["method"], steered["method"]) == ("turn/start", "turn/steer")
    assert steered["params"]["expectedTurnId"] == "t-1"
    assert {line["params"]["clientUserMessageId"] for line in (started, steered)} == {"m-1"}
    assert {line["id"].rpartition(" ")[2] for line in (started, steered)} == {"r-1"}


@pytest.mark.parametrize(
    ("text", "command", "reason"),
    [("x" * ((1 << 20) + 1), False, "MESSAGE_TOO_LONG"), ("/compact", True, "COMMAND_UNSUPPORTED")],
    ids=["long", "command"],
)
def test_what_it_does_not_take_is_refused(text: str, command: bool, reason: str) -> None:
    """Before it is sent."""
    with pytest.raises(InvalidArgument) as caught:
        CODEX.say("c-1", text, "m-1", "r-1", command=command)
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
        CODEX.terminal(settings, "c-1", resume=True, hook="hook", directory="/w", env={}),
    ):
        assert command.files == {
            ".codex/rules/vibespace.rules": 'prefix_rule(pattern=["git", "push"], decision="forbidden")\n'
        }


def test_it_is_spoken_with_over_the_socket_that_a_terminal_is_told() -> None:
    """Not over the one where any codex looks; the terminal itself has pipes."""
    assert CODEX.headless(Settings(), "", resume=False).socket == ".vibespace/codex.sock"
    terminal = CODEX.terminal(Settings(), "c-1", resume=True, hook="hook", directory="/w", env={})
    assert (terminal.socket, terminal.argv[1:3]) == ("", ("--remote", "unix:///home/agent/.vibespace/codex.sock"))


@pytest.mark.parametrize("feature", ["unbounded_connection_retries", "shell_snapshot"])
def test_it_neither_waits_for_ever_nor_writes_its_environment_down(feature: str) -> None:
    """By itself it would: for a service that cannot be reached, and into its home; whatever else it is started with."""
    for env in ({}, {"OPENAI_API_KEY": "sk-1"}):
        argv = CODEX.headless(Settings(), "", resume=False, env=env).argv
        assert ("-c", f"features.{feature}=false") in pairwise(argv)


def test_what_a_person_begins_has_its_agents_model() -> None:
    """From the first, and nothing else by that way: as values of its configuration, whatever they hold."""
    settings = Settings(model='m"\N{SNOWMAN}', effort="high", skip_permissions=True)
    told = [value for word, value in pairwise(CODEX.headless(settings, "", resume=False).argv) if word == "-c"]
    values = {name: value for each in map(tomllib.loads, told) for name, value in each.items() if name != "features"}
    assert values == {"model": settings.model, "model_reasoning_effort": "high"}
    assert not any("model" in word for word in CODEX.headless(Settings(), "", resume=False).argv)


@pytest.mark.parametrize(("conversation", "words"), [("c-1", ("resume", "c-1")), ("", ())])
def test_a_terminal_goes_on_with_what_there_is(conversation: str, words: tuple[str, ...]) -> None:
    """Nothing is resumed that has not begun."""
    terminal = CODEX.terminal(Settings(), conversation, resume=bool(conversation), hook="hook", directory="/w", env={})
    assert terminal.argv == ("codex", "--remote", "unix:///home/agent/.vibespace/codex.sock", *words)


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


def test_a_request_of_tomorrow_is_declined() -> None:
    """What it asks and we do not know can be refused, so that the turn does not wait for ever."""
    (event,) = told({"id": 7, "method": "mind/read", "params": WHERE})
    assert isinstance(event, Unparsed)
    assert sent(CODEX.decline(event.request))["id"] == 7
