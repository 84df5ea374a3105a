"""The real Claude Code with a scripted model: what arrives there, and how it ends when that fails."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest

from tests.models.anthropic import Anthropic
from tests.models.programs import Event, Program, running
from tests.models.script import Call, Gate, Refusal, Turn, say

pytestmark = pytest.mark.containers

MODEL = "claude-opus-5-5"
COMMAND = (
    "exec claude -p --input-format stream-json --output-format stream-json --verbose --include-partial-messages"
    f" --model {MODEL} --permission-mode bypassPermissions --append-system-prompt 'Speak like a miller.'"
)


def claude(image: str, url: str, key: str) -> AbstractAsyncContextManager[Program]:
    """One that tries a second time and no more, and speaks with its model only."""
    return running(
        image,
        COMMAND,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY=key,
        CLAUDE_CODE_MAX_RETRIES="1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


async def test_two_turns(agent_image: str) -> None:
    """Prompt, model, tools, the tools' results and the first turn arrive at the endpoint; nothing else is asked."""
    calls = [Call("Bash", {"command": f"echo from the {place}"}) for place in ("mill", "barn")]
    model = Anthropic({"key-of-one": [say("I look.", *calls), say("There."), say("Again.")]})
    async with model.serving() as url, claude(agent_image, url, "key-of-one") as program:
        program.tell(_user("where is it?"))
        first = await program.until(_is_result)
        program.tell(_user("and now?"))
        second = await program.until(_is_result)
        assert (await program.end())[0] == 0
    assert [first[-1]["result"], second[-1]["result"]] == ["There.", "Again."]
    assert model.surprises == []
    asked = model.asked("key-of-one")
    assert [request.model for request in asked] == [MODEL] * 3
    assert all("Speak like a miller." in request.system and "Bash" in request.tools for request in asked)
    last = asked[2]
    assert last.texts("assistant") == ["I look.", "There."]
    assert sorted(last.texts("result")) == ["from the barn", "from the mill"]
    called, told = ({said.id for said in last.history if said.kind == kind} for kind in ("call", "result"))
    assert len(called) == 2
    assert called == told  # in the order in which they came to an end
    assert last.texts("user").index("where is it?") < last.texts("user").index("and now?")
    assert "key-of-one" not in str(last.headers)


async def test_slow(agent_image: str) -> None:
    """A word that the model has said is told, before the model has said the next."""
    gate = Gate()
    model = Anthropic({"one": [Turn(["grain flour"], gate)]})
    async with model.serving() as url, claude(agent_image, url, "one") as program:
        program.tell(_user("what?"))
        await gate.arrived()
        gate.allow()
        said = await program.until(lambda event: event.get("event", {}).get("type") == "content_block_delta")
        assert said[-1]["event"]["delta"]["text"] == "grain "
        gate.allow()
        assert (await program.until(_is_result))[-1]["result"] == "grain flour"


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (Refusal(401), 401, "authentication_failed"),
        (Refusal(429, headers={"retry-after": "0"}), 429, "rate_limit"),
        (Refusal(529), 529, "overloaded"),
        (Refusal(500), 500, "server_error"),
    ],
)
async def test_refused(agent_image: str, answer: Refusal, status: int, kind: str) -> None:
    """It says that it tries again, and why; then ends with 1 and a result that is an error."""
    model = Anthropic({"one": [answer, answer]})
    async with model.serving() as url, claude(agent_image, url, "one") as program:
        program.tell(_user("where is it?"))
        code, said = await program.end()
    retries = [event for event in said if event.get("subtype") == "api_retry"]
    assert [(retry["attempt"], retry["error_status"], retry["error"]) for retry in retries] == [(1, status, kind)]
    [result] = filter(_is_result, said)  # it may say more after it
    assert (code, result["is_error"], result["terminal_reason"]) == (1, True, "api_error")
    assert result["api_error_status"] == status
    assert model.surprises == []


async def test_cut(agent_image: str) -> None:
    """A connection lost in the middle is tried again, once more without a stream, and then said to be an error."""
    model = Anthropic({"one": [Turn(["grain flour"], cut=True)] * 3})
    async with model.serving() as url, claude(agent_image, url, "one") as program:
        program.tell(_user("what?"))
        code, said = await program.end()
    [result] = filter(_is_result, said)  # it may say more after it
    assert (code, result["is_error"], result["terminal_reason"]) == (1, True, "api_error")
    assert (result["api_error_status"], result["api_error"]) == (None, "connection_failed")
    assert [request.body.get("stream", False) for request in model.asked("one")] == [True, True, False]
    assert model.surprises == []


async def test_mended(agent_image: str) -> None:
    """What the model says in one piece, after two cut streams, is the answer."""
    cut = Turn(["grain flour"], cut=True)
    model = Anthropic({"one": [cut, cut, say("bread")]})
    async with model.serving() as url, claude(agent_image, url, "one") as program:
        program.tell(_user("what?"))
        code, said = await program.end()
    assert (code, said[-1]["is_error"], said[-1]["result"]) == (0, False, "bread")


def _user(text: str) -> Event:
    return {"type": "user", "message": {"role": "user", "content": text}}


def _is_result(event: Event) -> bool:
    return bool(event["type"] == "result")
