"""The real Codex with a scripted model: what arrives there, and how it ends when that fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.openai import OpenAI
from tests.models.programs import Event, Program, running
from tests.models.script import Call, Gate, Refusal, Turn, say

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
SET = 'mkdir -p ~/.codex && echo "$SETTINGS" > ~/.codex/config.toml'
FLAGS = "--json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"


async def codex(image: str, url: str, key: str, *commands: str) -> tuple[int, list[Event]]:
    """Run `codex exec` with each of these in one home; the last exit code, and all they say."""
    script = "\n".join([SET, *(f"codex exec {command} 2>/dev/null </dev/null" for command in commands)])
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


async def test_app_server(agent_image: str) -> None:
    """Through the app-server too: a word is told before the model says the next; the second turn knows the first."""
    gate = Gate()
    call = Call("exec_command", {"cmd": "echo from the mill"})
    model = OpenAI({"one": [say(call), Turn(["grain flour"], gate), say("Again.")]})
    async with (
        model.serving() as url,
        running(
            agent_image, f"{SET}\nexec codex app-server 2>/dev/null", SETTINGS=SETTINGS % url, SCRIPTED_KEY="one"
        ) as program,
    ):
        await _request(program, "initialize", clientInfo={"name": "tests", "title": "Tests", "version": "1"})
        program.tell({"method": "initialized"})
        started = await _request(program, "thread/start", approvalPolicy="never", sandbox="danger-full-access")
        thread = started["thread"]["id"]
        await _request(program, "turn/start", threadId=thread, input=[{"type": "text", "text": "what?"}])
        await gate.arrived()
        gate.allow()
        said = await program.until(lambda event: event.get("method") == "item/agentMessage/delta")
        assert said[-1]["params"]["delta"] == "grain "
        gate.allow()
        await program.until(_turn_completed)
        await _request(program, "turn/start", threadId=thread, input=[{"type": "text", "text": "and now?"}])
        ended = (await program.until(_turn_completed))[-1]["params"]["turn"]
    assert (ended["status"], ended["error"]) == ("completed", None)
    last = model.asked("one")[2]
    assert last.texts("assistant") == ["grain flour"]
    assert [text.splitlines()[-1] for text in last.texts("result")] == ["from the mill"]
    assert model.surprises == []


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


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(500, "We\u2019re currently experiencing high demand"), (529, "unexpected status 529")],
)
async def test_overloaded(agent_image: str, status: int, sentence: str) -> None:
    """Both bounds of tries multiply where the service itself fails, of which it says no more than this."""
    model = OpenAI({"one": [Refusal(status)] * 4})
    async with model.serving() as url:
        code, said = await codex(agent_image, url, "one", f"{FLAGS} 'where is it?'")
    assert code == 1
    assert said[-1]["type"] == "turn.failed"
    assert said[-1]["error"]["message"].startswith(sentence)
    assert len(model.asked("one")) == 4
    assert model.surprises == []


async def _request(program: Program, method: str, **params: Any) -> Any:
    """The result of a method of the app-server; its name serves as id."""
    program.tell({"id": method, "method": method, "params": params})
    return (await program.until(lambda event: event.get("id") == method))[-1]["result"]


def _turn_completed(event: Event) -> bool:
    return event.get("method") == "turn/completed"
