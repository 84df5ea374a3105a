"""The real agent programs in real containers, on models that say what is written down: what people ask, and get."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.installation import Installation
from tests.models.anthropic import Anthropic
from tests.models.script import Call, Script, say

pytestmark = pytest.mark.here("the scripted model listens where the engine is, and config.yaml opens the way to it")

KEY = "sk-ant-scripted-0123456789abcdefghij"
MACHINE = "host.containers.internal"


@contextmanager
def claude(own: Installation, script: Script, *more: str) -> Iterator[Anthropic]:
    """A vibespace `shop` whose Claude Code speaks with a model that says `script`."""
    model = Anthropic({KEY: script})
    with model.in_thread("0.0.0.0") as url:
        port = url.rpartition(":")[2]
        settings = json.loads((own.home / "config.yaml").read_text())
        (own.home / "config.yaml").write_text(json.dumps(settings | {"network": {"allow": [f"0.0.0.0/0:{port}"]}}))
        values = {"ANTHROPIC_BASE_URL": f"http://{MACHINE}:{port}", "ANTHROPIC_API_KEY": KEY}
        env = [word for name, value in values.items() for word in ("--env", f"{name}={value}")]
        own.ok(
            "create", "shop", "-t", "claude-code", "--env", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", *env, *more
        )
        yield model


def bash(command: str) -> Call:
    return Call("Bash", {"command": command, "description": "as asked"})


def waiting(own: Installation) -> str:
    """The id of the one approval that is asked; it is waited for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := own.data("approval", "list")["approvals"]:
            return str(found[0]["uid"])
    raise AssertionError("nothing waits for a decision")


def test_claude_works_and_remembers(own: Installation) -> None:
    """It is asked, asks before it acts, acts, and knows all that when it was stopped and started."""
    script = [
        say("I make it.", bash("echo flour > /vibespace/mill")),
        say("It is made."),
        say("You asked for flour."),
    ]
    with claude(own, script) as model:
        asking = own.popen("ask", "-a", "claude-1@shop", "make flour")
        uid = waiting(own)
        own.ok("approval", "allow", uid[:8])
        said, beside = asking.communicate(timeout=60)
        assert (asking.returncode, said) == (0, "I make it.\nIt is made.\n"), beside
        assert own.inside("claude-1@shop", "cat /vibespace/mill") == "flour"
        own.ok("stop", "shop")
        own.ok("start", "shop")
        assert own.ok("ask", "-a", "claude-1@shop", "what did I ask for?") == "You asked for flour.\n"
        assert model.surprises == []
        asked = model.asked(KEY)
        assert asked[-1].texts("user")[-1] == "what did I ask for?"
        assert "make flour" in asked[-1].texts("user")
        assert [said.kind for said in asked[-1].history if said.kind in ("call", "result")] == ["call", "result"]
