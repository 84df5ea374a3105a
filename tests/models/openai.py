"""The OpenAI Responses API: streams, and the list of models."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.models.endpoint import Asked, Endpoint, Said, pieces
from tests.models.script import Call, Refusal, Turn

KINDS = {401: "invalid_api_key", 429: "rate_limit_exceeded", 529: "server_is_overloaded", 500: "server_error"}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 22,
}


class OpenAI(Endpoint):
    """What `base_url` of a provider in Codex's config.toml names, with /v1 behind it."""

    path = "/v1/responses"

    def routes(self, application: web.Application) -> None:
        super().routes(application)
        application.router.add_get("/v1/models", self._models)

    def key(self, request: web.Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Asked:
        tools = tuple(tool.get("name", tool["type"]) for tool in body.get("tools", ()))
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        history = tuple(_said(item) for item in items)
        return Asked(body["model"], body.get("instructions", ""), tools, history, headers, body)

    def refusal(self, refusal: Refusal) -> Mapping[str, Any]:
        code = KINDS.get(refusal.status, "invalid_request_error")
        return {"error": {"type": code, "code": code, "message": refusal.message, "param": None}}

    async def events(self, asked: Asked, turn: Turn) -> AsyncIterator[Mapping[str, Any]]:
        number = 0

        def event(kind: str, **fields: Any) -> Mapping[str, Any]:
            nonlocal number
            number += 1
            return {"type": kind, "sequence_number": number - 1, **fields}

        response = {"id": f"resp_{uuid4().hex}", "object": "response", "model": asked.model}
        yield event("response.created", response={**response, "status": "in_progress", "output": []})
        done = []
        for index, part in enumerate(turn.parts):
            item = _item(part)
            where = {"output_index": index, "item_id": item["id"]}
            yield event("response.output_item.added", output_index=index, item=_begun(item))
            if isinstance(part, Call):
                yield event("response.function_call_arguments.done", **where, arguments=item["arguments"])
            else:
                async for word in pieces(part, turn.gate):
                    yield event("response.output_text.delta", **where, content_index=0, delta=word)
            if turn.cut and index == len(turn.parts) - 1:
                return
            yield event("response.output_item.done", output_index=index, item=item)
            done.append(item)
        yield event("response.completed", response={**response, "status": "completed", "output": done, "usage": USAGE})

    def whole(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        response: Mapping[str, Any] = events[-1]["response"]
        return response

    async def _models(self, request: web.Request) -> web.Response:
        """OpenAI's own list is `data`; Codex reads `models`, and goes on with what it knows when that is empty."""
        return web.json_response({"object": "list", "data": [], "models": []})


def _item(part: str | Call) -> dict[str, Any]:
    if isinstance(part, Call):
        own = {"name": part.tool, "arguments": json.dumps(part.input), "call_id": f"call_{uuid4().hex}"}
        return {"type": "function_call", "id": f"fc_{uuid4().hex}", "status": "completed", **own}
    content = [{"type": "output_text", "text": part, "annotations": []}]
    return {
        "type": "message", "id": f"msg_{uuid4().hex}", "status": "completed", "role": "assistant", "content": content,
    }  # fmt: skip


def _begun(item: Mapping[str, Any]) -> Mapping[str, Any]:
    empty: dict[str, Any] = {"arguments": ""} if item["type"] == "function_call" else {"content": []}
    return {**item, "status": "in_progress", **empty}


def _said(item: Mapping[str, Any]) -> Said:
    match item.get("type", "message"):
        case "message":
            kind = {"developer": "system"}.get(item["role"], item["role"])
            return Said(kind, _text(item["content"]))
        case "function_call":
            return Said("call", f"{item['name']} {item['arguments']}", item["call_id"])
        case "function_call_output":
            return Said("result", _text(item["output"]), item["call_id"])
        case other:
            return Said(other, json.dumps(item))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", f"<{part['type']}>") for part in content)
