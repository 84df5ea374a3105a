"""Which agent programs there are: a third one is a file of its own and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from vibespace.harness.base import Harness
from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.codex import Codex

HARNESSES: Mapping[str, Harness] = {
    "claude-code": ClaudeCode(),
    "codex": Codex(),
}
"""By agent type. They keep nothing, so one of each serves all agents."""
