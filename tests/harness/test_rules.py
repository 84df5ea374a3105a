"""Tool rules are read, and said to Codex as far as it can hold them."""

from __future__ import annotations

import pytest

from vibespace.errors import InvalidArgument
from vibespace.harness.rules import Rule, codex_rules, parse_rule


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("Read", Rule("Read")),
        ("Bash(git push:*)", Rule("Bash", "git push:*")),
        ("Bash(echo (x))", Rule("Bash", "echo (x)")),
        ("WebFetch(domain:example.com)", Rule("WebFetch", "domain:example.com")),
        ("mcp__github__search", Rule("mcp__github__search")),
    ],
)
def test_rules_are_read(written: str, rule: Rule) -> None:
    """A tool, and what of it."""
    assert parse_rule(written, "allowed_tools") == rule


@pytest.mark.parametrize(
    "written", ["", "Bash(", "Bash()", "Bash(*)(*)", "(git:*)", "Bash(a)b", "Bash(a\n)", "Bash(\u202ea)", "-x"]
)
def test_what_is_no_rule(written: str) -> None:
    """It is refused, naming the setting, and shown without what could mislead."""
    with pytest.raises(InvalidArgument) as caught:
        parse_rule(written, "allowed_tools")
    assert (caught.value.reason, caught.value.field) == ("TOOL_RULE_INVALID", "allowed_tools")
    assert caught.value.message.isascii()


def test_codex_rules() -> None:
    """Words become a prefix; what is disallowed is forbidden."""
    assert codex_rules(("Bash(git:*)", "Bash(npm run 'test':*)"), ("Bash(git push:*)",)) == (
        'prefix_rule(pattern=["git"], decision="allow")\n'
        'prefix_rule(pattern=["npm", "run", "test"], decision="allow")\n'
        'prefix_rule(pattern=["git", "push"], decision="forbidden")\n'
    )


@pytest.mark.parametrize(
    "written",
    [
        "Bash",
        "Bash(ls)",
        "Bash(git *)",
        "Read",
        "Edit(src/**)",
        "WebFetch(domain:example.com)",
        "mcp__github__search",
        "Bash(:*)",
        "Bash(a && b:*)",
        "Bash($(id):*)",
        "Bash('a b':*)",
        'Bash(":*)',
        "Bash(ls *.py:*)",
    ],
)
@pytest.mark.parametrize("field", ["allowed_tools", "disallowed_tools"])
def test_what_codex_cannot_hold_is_refused_by_name(written: str, field: str) -> None:
    """Nothing is allowed that was not meant, and no rule is dropped in silence."""
    given = {"allowed": (), "disallowed": ()} | {field.removesuffix("_tools"): (written,)}
    with pytest.raises(InvalidArgument) as caught:
        codex_rules(given["allowed"], given["disallowed"])
    error = caught.value
    assert (error.reason, error.field, error.metadata["rule"]) == ("TOOL_RULE_UNSUPPORTED", field, written)
    assert ascii(written) in error.message
