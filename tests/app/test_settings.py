"""What agents may be set to: each program's own rules, and those that hold for all."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.things import new_agent
from vibespace.app.settings import LONGEST, check_settings, wanted
from vibespace.errors import InvalidArgument
from vibespace.harness.base import Settings

WRONG = [
    ("claude-code", {"max_turns": -1}, "MAX_TURNS_INVALID", "max_turns"),
    ("claude-code", {"effort": "huge"}, "EFFORT_UNSUPPORTED", "effort"),
    ("claude-code", {"disallowed_tools": ["Read", "Bash("]}, "TOOL_RULE_INVALID", "disallowed_tools"),
    *(
        ("claude-code", {"approval_timeout": said}, "TIMEOUT_INVALID", "approval_timeout")
        for said in ("10", "0s", "-1s", "1h30m", "53w", "999999999w", "never" * 1000)
    ),
    *(
        (program, {"model": said}, "MODEL_INVALID", "model")
        for program in ("claude-code", "codex")
        for said in (" ", "op\nus", "\x1b[31mopus", "opus ", "op\0us")
    ),
    ("codex", {"effort": "max"}, "EFFORT_UNSUPPORTED", "effort"),
    ("codex", {"allowed_tools": ["Read"]}, "TOOL_RULE_UNSUPPORTED", "allowed_tools"),
    ("codex", {"system_prompt": "Be brief."}, "PROMPT_NEEDS_MODEL", "system_prompt"),
    ("codex", {"model": "m" * (LONGEST + 1)}, "SETTING_TOO_LONG", "model"),
    ("codex", {"allowed_tools": ["Bash(ls:*)"] * (LONGEST // 10 + 1)}, "SETTING_TOO_LONG", "allowed_tools"),
]


@pytest.mark.parametrize(("agent_type", "stored", "reason", "field"), WRONG)
def test_what_is_refused(agent_type: str, stored: dict[str, Any], reason: str, field: str) -> None:
    """The setting at fault is named as the request names it."""
    with pytest.raises(InvalidArgument) as e:
        check_settings(agent_type, stored, "agent")
    assert (e.value.reason, e.value.field) == (reason, f"agent.{field}")
    assert len(e.value.message) < 200


@pytest.mark.parametrize(
    ("agent_type", "stored"),
    [
        ("claude-code", {}),
        ("claude-code", {"effort": "max", "allowed_tools": ["Read", "Bash(git push:*)"]}),
        ("claude-code", {"model": "", "max_turns": 0, "effort": "", "skip_permissions": False}),
        ("codex", {"max_turns": 3}),
        ("codex", {"approval_timeout": "52w"}),
        ("codex", {"approval_timeout": "0"}),
        ("claude-code", {"approval_timeout": ""}),
        ("codex", {"model": "gpt-5", "system_prompt": "Be brief.", "allowed_tools": ["Bash(git status:*)"]}),
        ("claude-code", {"model": "arn:aws:bedrock:eu-1:1:a/é[1m]"}),
    ],
)
def test_what_is_taken(agent_type: str, stored: dict[str, Any]) -> None:
    """Empty settings too; turns are counted for the program that does not know them."""
    check_settings(agent_type, stored, "agent")


def test_what_a_program_should_work_by() -> None:
    """What is not set is left to it; what else an agent was given is none of its settings."""
    agent = new_agent()
    assert wanted(agent) == Settings()
    given = {"env": ["TOKEN"], "model": "opus", "allowed_tools": ["Read", "Edit"], "skip_permissions": True}
    agent.settings = given | {"approval_timeout": "10m"}
    assert wanted(agent) == Settings(model="opus", allowed_tools=("Read", "Edit"), skip_permissions=True)
