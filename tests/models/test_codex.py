"""The real Codex with a scripted model: what arrives there, and how it ends when that fails."""

from __future__ import annotations

import pytest

from tests.models.openai import OpenAI
from tests.models.programs import Event, running
from tests.models.script import Call, Refusal, Turn, say

pytestmark = pytest.mark.containers

MODEL = "gpt-5.5-codex"
SETTINGS = f"""
model = "{MODEL}"
model_provider = "scripted"
developer_instructions = "Speak like a miller."
[model_providers.scripted]
name = "scripted"
base_url = "%s/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""
FLAGS = "--json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"


async def codex(image: str, url: str, key: str, *commands: str) -> tuple[int, list[Event]]:
    """Run `codex exec` with each of these in one home; the last exit code, and all they say."""
    runs = [f"codex exec {command} 2>/dev/null </dev/null" for command in commands]
    script = "\n".join(['mkdir -p ~/.codex && echo "$SETTINGS" > ~/.codex/config.toml', *runs])
    async with running(image, script, SETTINGS=SETTINGS % url, SCRIPTED_KEY=key) as program:
        return await program.end()


async def test_two_turns(agent_image: str) -> None:
    """Prompt, model, tools, the tools' results and the first turn arrive at the endpoint; nothing else is asked."""
    calls = [Call("exec_command", {"cmd": f"echo from the {place}"}) for place in ("mill", "barn")]
    model = OpenAI({"one": [say("I look.", *calls), say("There."), say("Again.")]})
    async with model.serving() as url:
        code, said = await codex(
            agent_image, url, "one", f"{FLAGS} 'where is it?'", f"resume --last {FLAGS} 'and now?'"
        )
    assert code == 0
    items = [event["item"] for event in said if event["type"] == "item.completed"]
    assert [item["text"] for item in items if item["type"] == "agent_message"] == ["I look.", "There.", "Again."]
    assert model.surprises == []
    asked = model.asked("one")
    assert [request.model for request in asked] == [MODEL] * 3
    assert all("Speak like a miller." in "\n".join(request.texts("system")) for request in asked)
    assert all("exec_command" in request.tools for request in asked)
    last = asked[2]
    assert last.texts("assistant") == ["I look.", "There."]
    results = [said for said in last.history if said.kind == "result"]
    assert [result.text.splitlines()[-1] for result in results] == ["from the mill", "from the barn"]
    assert [said.id for said in last.history if said.kind == "call"] == [result.id for result in results]
    assert last.texts("user").index("where is it?") < last.texts("user").index("and now?")


CUT = Turn(["grain flour"], cut=True)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Refusal(401, "who is it?"), "unexpected status 401 Unauthorized: who is it?"),
        (Refusal(429, headers={"retry-after": "0"}), "exceeded retry limit, last status: 429 Too Many Requests"),
        (CUT, "stream disconnected before completion"),
    ],
)
async def test_failed(agent_image: str, answer: Refusal | Turn, sentence: str) -> None:
    """It says that it tries again, and why; then the turn has failed with that, and it ends with 1."""
    model = OpenAI({"one": [answer, answer]})
    async with model.serving() as url:
        code, said = await codex(agent_image, url, "one", f"{FLAGS} 'where is it?'")
    assert code == 1
    assert said[-1]["type"] == "turn.failed"
    assert said[-1]["error"]["message"].startswith(sentence)
    errors = [event["message"] for event in said if event["type"] == "error"]
    assert errors[0].startswith(f"Reconnecting... 1/1 ({sentence}")
    assert len(model.asked("one")) == 2
    assert model.surprises == []
