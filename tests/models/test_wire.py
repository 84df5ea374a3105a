"""What the scripted endpoints say on the wire, to a client that knows nothing of scripts."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.models.anthropic import Anthropic
from tests.models.endpoint import Endpoint, Said
from tests.models.openai import OpenAI
from tests.models.script import Call, Gate, Refusal, Turn, say

MESSAGES: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "system": [{"type": "text", "text": "be brief"}],
    "tools": [{"name": "Bash", "input_schema": {}}],
    "messages": [
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "id"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "root"}]},
    ],
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "instructions": "be brief",
    "tools": [{"type": "function", "name": "Bash"}],
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"type": "function_call", "call_id": "t1", "name": "Bash", "arguments": '{"command": "id"}'},
        {"type": "function_call_output", "call_id": "t1", "output": "root"},
    ],
}
BOTH = pytest.mark.parametrize(("api", "body"), [(Anthropic, MESSAGES), (OpenAI, RESPONSES)])


def ask(client: aiohttp.ClientSession, model: Endpoint, body: Any, key: str = "k") -> Any:
    """The request, as a client sends it that knows one key."""
    return client.post(model.url + model.path, json=body, headers={"authorization": f"Bearer {key}", "x-more": "yes"})


async def receive(answer: aiohttp.ClientResponse, seen: bytearray) -> None:
    """Add to `seen` what comes, also when the end does not."""
    async for piece in answer.content.iter_any():
        seen += piece


def told(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, whose names are their types."""
    events = []
    for block in stream.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


async def test_anthropic_stream() -> None:
    """Texts and calls are blocks of one message, which stops to have its tools used."""
    model = Anthropic({"k": [say("a b", Call("Bash", {"command": "id"}))]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, MESSAGES) as answer:
        assert answer.content_type == "text/event-stream"
        events = told(await answer.read())
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert [event["type"] for event in events] == [
        "message_start", block[0], block[1], block[1], block[2], *block, "message_delta", "message_stop",
    ]  # fmt: skip
    assert [events[2]["delta"]["text"], events[3]["delta"]["text"]] == ["a ", "b"]
    assert json.loads(events[6]["delta"]["partial_json"]) == {"command": "id"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_openai_stream() -> None:
    """Texts and calls are items of one response, numbered through."""
    model = OpenAI({"k": [say("a b", Call("Bash", {"command": "id"}))]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, RESPONSES) as answer:
        events = told(await answer.read())
    added, done = "response.output_item.added", "response.output_item.done"
    delta, arguments = "response.output_text.delta", "response.function_call_arguments.done"
    assert [event["type"] for event in events] == [
        "response.created", added, delta, delta, done, added, arguments, done, "response.completed",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in events] == list(range(9))
    assert events[-1]["response"]["output"] == [events[4]["item"], events[7]["item"]]
    assert events[4]["item"]["content"][0]["text"] == "a b"


@BOTH
async def test_in_one_piece(api: type[Endpoint], body: Any) -> None:
    """Who asks for no stream gets the same texts and calls as one value."""
    model = api({"k": [say("a b", Call("Bash", {"command": "id"}))]})
    plain = {**body, "stream": False}
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, plain) as answer:
        whole = await answer.json()
    text, call = whole["content"] if api is Anthropic else whole["output"]
    assert (text["text"] if api is Anthropic else text["content"][0]["text"]) == "a b"
    assert (call["input"] if api is Anthropic else json.loads(call["arguments"])) == {"command": "id"}
    assert (whole["stop_reason"] if api is Anthropic else whole["status"]) in ("tool_use", "completed")


@BOTH
async def test_asked(api: type[Endpoint], body: Any) -> None:
    """What was asked is kept, read alike for both, without the key."""
    model = api({"k": [say("a")]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, body) as answer:
        await answer.read()
    (asked,) = model.asked("k")
    assert (asked.model, asked.system, asked.tools, asked.body) == ("m", "be brief", ("Bash",), body)
    assert asked.history == (
        Said("user", "hello"),
        Said("call", 'Bash {"command": "id"}', "t1"),
        Said("result", "root", "t1"),
    )
    assert asked.headers["x-more"] == "yes"
    assert "authorization" not in asked.headers


@BOTH
async def test_follows_from_what_was_asked(api: type[Endpoint], body: Any) -> None:
    """An answer may be made of the request, when that is there."""
    model = api({"k": [lambda asked: say(f"{asked.texts('user')[0]}!")]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, body) as answer:
        assert b'"hello!"' in await answer.read()


@BOTH
@pytest.mark.parametrize("status", [401, 429, 500, 529])
async def test_refusal(api: type[Endpoint], body: Any, status: int) -> None:
    """An error has its status, headers, and a body that names its kind."""
    model = api({"k": [Refusal(status, "no", {"retry-after": "7"})]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, body) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (status, "7")
        error = (await answer.json())["error"]
    assert error["message"] == "no"
    assert error["type"] not in ("", "invalid_request_error")
    assert model.surprises == []


@BOTH
async def test_gate(api: type[Endpoint], body: Any) -> None:
    """A word is sent when the gate lets it, and not before."""
    gate = Gate()
    model = api({"k": [Turn(["alpha beta"], gate)]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, body) as answer:
        await gate.arrived()
        gate.allow()
        await gate.arrived()
        seen = b""
        while b"alpha" not in seen:
            seen += await answer.content.readany()
        assert b"beta" not in seen
        gate.allow()
        assert b"beta" in await answer.read()


@BOTH
async def test_cut(api: type[Endpoint], body: Any) -> None:
    """All that was said arrives, and then the connection is gone."""
    model = api({"k": [Turn(["alpha beta"], cut=True)]})
    async with model.serving(), aiohttp.ClientSession() as client, ask(client, model, body) as answer:
        seen = bytearray()
        with pytest.raises(aiohttp.ClientPayloadError):
            await receive(answer, seen)
    assert b"beta" in seen


@BOTH
async def test_surprises(api: type[Endpoint], body: Any) -> None:
    """A strange key, a request too many and a strange path are refused, and the latter two remembered."""
    model = api({"k": [say("a")], "other": [say("b")]})
    async with model.serving() as url, aiohttp.ClientSession() as client:
        statuses = []
        for key in ("k", "other", "k", "nobody"):
            async with ask(client, model, body, key) as answer:
                statuses.append(answer.status)
        async with client.get(f"{url}/v1/files") as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 400, 401, 404]
    assert model.surprises == ["asked 2 times, where the script has 1 answers", "GET /v1/files"]


async def test_other_paths() -> None:
    """Tokens are counted and models listed, without an answer of a script."""
    claude, codex = Anthropic({}), OpenAI({})
    async with claude.serving() as one, codex.serving() as two, aiohttp.ClientSession() as client:
        async with client.post(f"{one}/v1/messages/count_tokens", json=MESSAGES) as answer:
            assert (await answer.json())["input_tokens"] > 0
        async with client.get(f"{one}/v1/models") as answer:
            assert (await answer.json())["data"] == []
        async with client.get(f"{two}/v1/models") as answer:
            assert (await answer.json())["data"] == []
    assert claude.surprises == codex.surprises == []


def test_in_thread() -> None:
    """It serves who has no loop, and is gone afterwards."""
    import urllib.error
    import urllib.request

    model = Anthropic({})
    with model.in_thread() as url, urllib.request.urlopen(f"{url}/v1/models") as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/v1/models")


def test_no_such_address() -> None:
    """An address that is not this machine's is an error of who asks for it, also from a thread."""
    with pytest.raises(OSError, match=r"203\.0\.113\.1"), Anthropic({}).in_thread("203.0.113.1"):
        pass
