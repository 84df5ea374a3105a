"""Codex's items: what is said and done in a turn, each told when it begins and when it is done."""

from __future__ import annotations

import re
from typing import Any

from vibespace.harness.events import (
    Change,
    Event,
    FileChange,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Trouble,
    Unparsed,
    Where,
)
from vibespace.harness.reading import MOST_PARTS, Object, called, decode, encode, items, mapping, text, whole

_SILENT = frozenset(
    {"hookPrompt", "contextCompaction", "enteredReviewMode", "exitedReviewMode", "sleep", "subAgentActivity"}
)
_CHANGES = {"add": Change.CREATED, "update": Change.MODIFIED, "delete": Change.DELETED}
_FAILED = ("failed", "declined")
_TROUBLES = {
    "unauthorized": Trouble.LOGIN,
    "usageLimitExceeded": Trouble.RATE_LIMIT,
    "rateLimitExceeded": Trouble.RATE_LIMIT,
    "sessionBudgetExceeded": Trouble.BILLING,
    "serverOverloaded": Trouble.OVERLOADED,
    "internalServerError": Trouble.OVERLOADED,
    "flexUnavailable": Trouble.OVERLOADED,
    "contextWindowExceeded": Trouble.CONTEXT,
    "modelNotFound": Trouble.MODEL,
    "httpConnectionFailed": Trouble.UNREACHABLE,
    "responseStreamConnectionFailed": Trouble.UNREACHABLE,
    "responseStreamDisconnected": Trouble.UNREACHABLE,
}
_STATUSES = {
    401: Trouble.LOGIN,
    403: Trouble.LOGIN,
    404: Trouble.MODEL,
    429: Trouble.RATE_LIMIT,
}
_WORDS = (
    (re.compile(r"Missing environment variable"), Trouble.LOGIN),
    (re.compile(r"stream disconnected|Connection failed"), Trouble.UNREACHABLE),
    (re.compile(r"\bmodel\b.*(does not exist|is not supported|not found)", re.IGNORECASE), Trouble.MODEL),
)
"""What is told of an error that has neither a kind nor a status."""


def begun(item: Object, where: Where) -> ToolCall | None:
    """The tool call that `item` is, by the names that tool rules have."""
    tool = ""
    given: dict[str, Any] = {}
    match text(item, "type"):
        case "commandExecution":
            tool, given = "Bash", {"command": text(item, "command"), "cwd": text(item, "cwd")}
        case "fileChange":
            tool, given = "Edit", {"changes": items(item, "changes")}
        case "mcpToolCall":
            tool, given = f"mcp__{text(item, 'server')}__{text(item, 'tool')}", mapping(item, "arguments")
        case "dynamicToolCall" | "collabAgentToolCall":
            tool, given = text(item, "tool"), mapping(item, "arguments") or {"prompt": text(item, "prompt")}
        case "webSearch":
            tool, given = "WebSearch", {"query": text(item, "query")}
        case "imageView":
            tool, given = "Read", {"file_path": text(item, "path")}
    name = called(item, "id")
    return ToolCall(id=name, call=name, tool=tool, input=given, **where) if tool else None


def done(item: Object, where: Where) -> list[Event]:
    """What `item` is, now that it is whole."""
    name = called(item, "id")
    match text(item, "type"):
        case "userMessage":
            words = "\n".join(_shown(part) for part in items(item, "content"))
            return [Text(id=name, text=words, by_user=True, message=text(item, "clientId"), **where)]
        case "agentMessage" | "plan":
            return [Text(id=name, text=text(item, "text"), block=name, **where)]
        case "reasoning":
            parts = items(item, "summary") or items(item, "content")
            words = "\n".join(part for part in parts if isinstance(part, str))
            return [Reasoning(id=name, text=words, block=name, **where)]
        case "commandExecution":
            failed, code = text(item, "status") in _FAILED, whole(item, "exitCode")
            output = text(item, "aggregatedOutput") or ("Declined." if text(item, "status") == "declined" else "")
            return [ToolResult(id=name, call=name, text=output, failed=failed, exit_code=code, **where)]
        case "fileChange":
            return _files(item, where)
        case kind if begun(item, where):
            failed = text(item, "status") in _FAILED
            return [ToolResult(id=name, call=name, text=_outcome(item), failed=failed, **where)]
        case kind if kind in _SILENT:
            return []
        case kind:
            return [Unparsed(id=name, why="unknown kind", kind=f"item/{kind}", **where)]


def failure(error: Object) -> tuple[Trouble, str, int | None]:
    """What an error of a turn is about, its words, and the HTTP status if there was one."""
    info: Any = error.get("codexErrorInfo")
    word = next(iter(info), "") if isinstance(info, dict) else info if isinstance(info, str) else ""
    status = whole(info, word, "httpStatusCode")
    words = ": ".join(filter(None, (_said(text(error, "message")), text(error, "additionalDetails"))))
    failed = Trouble.OVERLOADED if status and status >= 500 else _STATUSES.get(status or 0)
    told = next((trouble for pattern, trouble in _WORDS if pattern.search(words)), Trouble.OTHER)
    return failed or _TROUBLES.get(word, told), words, status


def _said(message: str) -> str:
    """Of a body that the service answered with, what it says."""
    body = decode(message.encode(errors="replace")) if message.startswith("{") else {}
    return message if isinstance(body, Unparsed) else text(body, "error", "message") or text(body, "detail") or message


def _files(item: Object, where: Where) -> list[Event]:
    name, status = called(item, "id"), text(item, "status")
    found: list[Event] = [ToolResult(id=name, call=name, text=status, failed=status in _FAILED, **where)]
    changes = items(item, "changes") if status == "completed" else []
    if len(changes) > MOST_PARTS:
        return [*found, Unparsed(id=name, why=f"{len(changes)} parts", kind="item/fileChange", **where)]
    for place, change in enumerate(changes):
        kind = text(change, "kind", "type")
        found.append(
            FileChange(
                id=f"{name}#{place}",
                call=name,
                path=text(change, "path"),
                change=_CHANGES.get(kind, Change.MODIFIED),
                moved_to=text(change, "kind", "move_path"),
                diff=text(change, "diff"),
                **where,
            )
        )
    return found


def _outcome(item: Object) -> str:
    if text(item, "error", "message"):
        return text(item, "error", "message")
    parts = items(item, "result", "content") or items(item, "contentItems")
    return "\n".join(text(part, "text") or encode({"part": part}).decode() for part in parts)


def _shown(part: object) -> str:
    """Of what is no text, such as an image, only that it is there; the line has all of it."""
    return text(part, "text") if text(part, "type") == "text" else f"[{text(part, 'type')}]"
