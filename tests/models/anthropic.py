"""The Anthropic Messages API: streams, the number of tokens, the list of models."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.models.endpoint import Asked, Endpoint, Said, calls, pieces
from tests.models.script import Call, Refusal, Turn

KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
USAGE = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}


class Anthropic(Endpoint):
    """What `ANTHROPIC_BASE_URL` names."""

    path = "/v1/messages"

    def routes(self, application: web.Application) -> None:
        super().routes(application)
        application.router.add_post("/v1/messages/count_tokens", self._count)
        application.router.add_get("/v1/models", self._models)
        application.router.add_head("/", self._there)

    def key(self, request: web.Request) -> str:
        return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Asked:
        tools = tuple(tool["name"] for tool in body.get("tools", ()))
        history = tuple(said for message in body["messages"] for said in _said(message))
        return Asked(body["model"], _text(body.get("system", "")), tools, history, headers, body)

    def refusal(self, refusal: Refusal) -> Mapping[str, Any]:
        kind = KINDS.get(refusal.status, "api_error" if refusal.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": refusal.message}}

    async def events(self, asked: Asked, turn: Turn) -> AsyncIterator[Mapping[str, Any]]:
        message: dict[str, Any] = {
            "id": f"msg_{uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
        }
        yield {
            "type": "message_start",
            "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE},
        }
        for index, part in enumerate(turn.parts):
            block: dict[str, Any] = {"type": "text", "text": ""}
            if isinstance(part, Call):
                block = {"type": "tool_use", "id": f"toolu_{uuid4().hex}", "name": part.tool, "input": {}}
            yield {"type": "content_block_start", "index": index, "content_block": block}
            if isinstance(part, Call):
                delta = {"type": "input_json_delta", "partial_json": json.dumps(part.input)}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            else:
                async for word in pieces(part, turn.gate):
                    delta = {"type": "text_delta", "text": word}
                    yield {"type": "content_block_delta", "index": index, "delta": delta}
            if turn.cut and index == len(turn.parts) - 1:
                return
            yield {"type": "content_block_stop", "index": index}
        reason = "tool_use" if calls(turn) else "end_turn"
        ended = {"stop_reason": reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 12}}
        yield {"type": "message_stop"}

    def whole(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        content: list[dict[str, Any]] = []
        ended: Mapping[str, Any] = {}
        for event in events:
            match event["type"]:
                case "content_block_start":
                    content.append(dict(event["content_block"]))
                case "content_block_delta" if "text" in event["delta"]:
                    content[-1]["text"] += event["delta"]["text"]
                case "content_block_delta":
                    content[-1]["input"] = json.loads(event["delta"]["partial_json"])
                case "message_delta":
                    ended = event
        return {
            **events[0]["message"],
            "content": content,
            **ended["delta"],
            "usage": {**USAGE, **ended["usage"]},
        }

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": len(await request.read()) // 4})

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [], "has_more": False, "first_id": None, "last_id": None})

    async def _there(self, request: web.Request) -> web.Response:
        """Claude Code looks whether somebody listens."""
        return web.Response()


def _said(message: Mapping[str, Any]) -> Iterator[Said]:
    content = message["content"]
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        match block["type"]:
            case "tool_use":
                yield Said("call", f"{block['name']} {json.dumps(block['input'])}", block["id"])
            case "tool_result":
                yield Said("result", _text(block.get("content", "")), block["tool_use_id"])
            case "text":
                yield Said(message["role"], block["text"])
            case other:
                yield Said(message["role"], f"<{other}>")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", f"<{block['type']}>") for block in content)
