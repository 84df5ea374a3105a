"""The contract of harnesses, on each of them."""

from __future__ import annotations

import json

from tests.harness import recorded
from tests.harness.contract import HarnessContract, Lines
from tests.harness.echo import Echo
from vibespace.harness.events import Source
from vibespace.harness.registry import HARNESSES


def recording(name: str, count: int) -> Lines:
    """The first lines of a recording, up to the end of its first turn."""
    return tuple((line, recorded.source(name)) for line in recorded.lines(name)[:count])


class TestEcho(HarnessContract):
    """A program that the project does not know."""

    harness = Echo()
    turn = tuple(
        (json.dumps(line).encode(), Source.OUTPUT)
        for line in (
            {"is": "begin", "id": "t-1"},
            {"is": "heard", "id": "m-1", "text": "hello"},
            {"is": "call", "id": "c-1", "tool": "Bash", "input": {"command": "touch x"}},
            {"is": "may", "id": "c-1", "tool": "Bash", "input": {"command": "touch x"}},
            {"is": "did", "id": "c-1", "text": "hello"},
            {"is": "said", "id": "s-1", "text": "done"},
            {"is": "end"},
        )
    )


class TestClaudeCode(HarnessContract):
    harness = HARNESSES["claude-code"]
    turn = recording("claude_approval", 8)


class TestCodex(HarnessContract):
    harness = HARNESSES["codex"]
    turn = recording("codex_approval", 39)
