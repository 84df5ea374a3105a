"""What Codex says, as frames, and what is told of them."""

from __future__ import annotations

import json
from typing import Any

from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Event
from vibespace.harness.reading import encode

CODEX = Codex()
WHERE = {"threadId": "c-1", "turnId": "t-1"}
STARTED: dict[str, Any] = {"method": "turn/started", "params": {"threadId": "c-1", "turn": {"id": "t-1"}}}
COMMAND = {"type": "commandExecution", "id": "call_1", "command": "sleep 30", "cwd": "/vibespace/demo"}


def ended(status: str = "completed", **turn: Any) -> dict[str, Any]:
    return {"method": "turn/completed", "params": {"threadId": "c-1", "turn": {"id": "t-1", "status": status, **turn}}}


def item(state: str, **said: Any) -> dict[str, Any]:
    return {"method": f"item/{state}", "params": {**WHERE, "item": said}}


def told(*frames: dict[str, Any]) -> list[Event]:
    parser = CODEX.parser()
    return [event for frame in frames for event in parser.feed(encode(frame))]


def notified(parser: CodexParser, method: str, **params: Any) -> list[Event]:
    """What the parser makes of a notification about `thread`."""
    return list(parser.feed(encode({"method": method, "params": {"threadId": "thread", **params}})))


def replied(parser: CodexParser, asked: bytes, **result: Any) -> list[Event]:
    """What the parser makes of a reply to that."""
    return list(parser.feed(encode({"id": sent(asked)["id"], "result": result})))


def sent(line: bytes) -> Any:
    return json.loads(line)


def question(number: int, thread: str = "c-1") -> dict[str, Any]:
    params = {"threadId": thread, "turnId": "t-1", "itemId": f"call_{number}", "command": "x" * 1000}
    return {"id": number, "method": "item/commandExecution/requestApproval", "params": params}
