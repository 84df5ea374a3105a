"""The real agent programs in real containers, pointed at models that say what is written down."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.installation import Installation
from tests.models.anthropic import Anthropic
from tests.models.endpoint import Endpoint
from tests.models.openai import OpenAI
from tests.models.script import Call, Script

MACHINE = Installation.machine
KEY = "sk-ant-scripted-0123456789abcdefghij"
CODEX = """
model = "gpt-5.5-codex"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "%s/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


@contextmanager
def scripted(own: Installation, model: Endpoint) -> Iterator[str]:
    """Where agents of vibespaces that are created meanwhile find that model."""
    with model.in_thread("0.0.0.0") as url:
        yield allowing(own, url)


def allowing(own: Installation, url: str) -> str:
    """Open the way to what serves there, to vibespaces that are created from now on; its address for them."""
    port = url.rpartition(":")[2]
    settings = json.loads((own.home / "config.yaml").read_text())
    (own.home / "config.yaml").write_text(json.dumps(settings | {"network": {"allow": [f"0.0.0.0/0:{port}"]}}))
    return f"http://{own.machine}:{port}"


@contextmanager
def claude(own: Installation, script: Script, *more: str) -> Iterator[Anthropic]:
    """A vibespace `shop` whose Claude Code speaks with a model that says `script`."""
    model = Anthropic({KEY: script})
    with scripted(own, model) as url:
        values = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
        env = [word for name, value in values.items() for word in ("--env", f"{name}={value}")]
        own.ok("create", "shop", "-t", "claude-code", *env, *more)
        yield model


@contextmanager
def codex(own: Installation, script: Script, *more: str) -> Iterator[OpenAI]:
    """The same with Codex, which is pointed there by its own settings."""
    model = OpenAI({KEY: script})
    with scripted(own, model) as url:
        own.ok("create", "shop", "-t", "codex", "--env", f"SCRIPTED_KEY={KEY}", *more)
        own.ok(
            "exec", "codex-1@shop", "--", "sh", "-c", "mkdir -p ~/.codex; cat > ~/.codex/config.toml", input=CODEX % url
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


def ends(own: Installation, wanted: int = 1) -> list[str]:
    """Why its turns ended; that so many have is waited for."""
    deadline = time.monotonic() + 60
    while len(lines := own.events("--vibespace", "shop", "--type", "conversation.turn_ended")) < wanted:
        assert time.monotonic() < deadline, lines
    return [line["data"]["reason"] for line in lines]
