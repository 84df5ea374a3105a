"""How the real programs are logged in by what a credential gives them."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.models.anthropic import Anthropic
from tests.models.programs import Program, running
from tests.models.script import say
from vibespace.app.handing import variable

pytestmark = pytest.mark.containers

_ids = count(1)


@pytest.mark.parametrize("value", ["sk-ant-api03-one", "sk-ant-oat01-one"])
async def test_claude_takes_a_key_and_a_token(agent_image: str, value: str) -> None:
    """Each in the variable that the value's form says; it arrives at the endpoint."""
    model = Anthropic({value: [say("There.")]})
    async with model.serving() as url:
        given = {
            "ANTHROPIC_BASE_URL": url,
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            variable("anthropic", value): value,
        }
        async with running(agent_image, "claude -p hello --output-format json </dev/null", **given) as program:
            code, said = await program.end()
    assert (code, said[-1]["result"]) == (0, "There.")
    assert len(model.asked(value)) == 1


async def test_codex_is_told_its_key_over_its_socket(agent_image: str) -> None:
    """The app-server does not look at OPENAI_API_KEY for OpenAI's own service; told the key, with the store that is no
    file, it is logged in, and its home has nothing of it.
    """
    store = 'cli_auth_credentials_store="ephemeral"'
    command = f"codex app-server -c '{store}' 2>/dev/null; ls -a ~/.codex | jq -Rc '{{name: .}}'"
    async with running(agent_image, command, OPENAI_API_KEY="sk-one") as program:
        await _request(program, "initialize", clientInfo={"name": "tests", "title": "Tests", "version": "1"})
        program.tell({"method": "initialized"})
        assert (await _request(program, "account/read"))["account"] is None
        await _request(program, "account/login/start", type="apiKey", apiKey="sk-one")
        assert (await _request(program, "account/read"))["account"] == {"type": "apiKey"}
        _, said = await program.end()
    names = {event["name"] for event in said if "name" in event}
    assert names >= {"."}
    assert "auth.json" not in names


async def _request(program: Program, method: str, **params: Any) -> Any:
    """The result of a method of the app-server."""
    id = next(_ids)
    program.tell({"id": id, "method": method, "params": params})
    return (await program.until(lambda event: event.get("id") == id))[-1]["result"]
