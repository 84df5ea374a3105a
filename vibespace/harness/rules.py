"""Tool rules: `Tool`, or `Tool(content)`, of which `Tool(prefix:*)` is what every program understands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from vibespace.errors import InvalidArgument

_RULE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?:\((.+)\))?")
_NAME = re.compile(r"[A-Za-z0-9@%_+=:,./-]+")
"""A word that means itself in every shell."""


@dataclass(frozen=True)
class Rule:
    """A tool, and what of it."""

    tool: str
    content: str = ""
    """Empty for all of it."""


def parse_rule(written: str, field: str) -> Rule:
    """Raises InvalidArgument TOOL_RULE_INVALID, naming `field`."""
    found = _RULE.fullmatch(written)
    if not found or not written.isprintable() or ")(" in written:  # two of one tool
        raise InvalidArgument(
            "TOOL_RULE_INVALID",
            f"{written[:60]!a} is not a tool rule.",
            field=field,
            hint="Write a tool's name, or a name and what of it, as in 'Bash(git push:*)'.",
        )
    return Rule(found[1], found[2] or "")


def codex_rules(allowed: Sequence[str], disallowed: Sequence[str]) -> str:
    """The rules file by which Codex holds these; the strictest that matches wins there.

    Raises InvalidArgument TOOL_RULE_UNSUPPORTED for the first that such a file cannot say.
    """
    lines = [_prefix_rule(rule, "allowed_tools", "allow") for rule in allowed]
    lines += [_prefix_rule(rule, "disallowed_tools", "forbidden") for rule in disallowed]
    return "".join(lines)


def _prefix_rule(written: str, field: str, decision: str) -> str:
    return f'prefix_rule(pattern={json.dumps(_prefix(written, field))}, decision="{decision}")\n'


def _prefix(written: str, field: str) -> list[str]:
    """The words a command must begin with."""
    rule = parse_rule(written, field)
    if rule.tool != "Bash":
        raise _unsupported(written, field, "has rules for commands only")
    if not rule.content.endswith(":*"):
        raise _unsupported(written, field, "matches commands by their first words only")
    try:
        words = shlex.split(rule.content.removesuffix(":*"))
    except ValueError:
        words = []
    if not words or not all(_NAME.fullmatch(word) for word in words):
        raise _unsupported(written, field, "matches whole, plain words only")
    return words


def _unsupported(written: str, field: str, why: str) -> InvalidArgument:
    return InvalidArgument(
        "TOOL_RULE_UNSUPPORTED",
        f"Codex cannot hold the tool rule {written[:60]!a}: it {why}.",
        field=field,
        hint="It takes rules like 'Bash(git push:*)'.",
        rule=written[:60],
    )
