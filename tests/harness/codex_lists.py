"""What Codex has of a conversation when that is opened, and lists of it, as frames, and what is told of them."""

from __future__ import annotations

import json
from typing import Any

from tests.harness.codex_frames import replied
from vibespace.harness.base import Settings
from vibespace.harness.codex import Codex
from vibespace.harness.codex_parser import CodexParser
from vibespace.harness.events import Error, Event, Text, TurnEnded, TurnStarted, WorkEnded
from vibespace.harness.reading import encode

Frame = dict[str, Any]
Turn = tuple[str, str, bool]
"""Its id, its status, and whether it is known when it was over."""
DONE, RUNS = ("t-1", "completed", True), ("t-2", "inProgress", False)
KILLED = ("t-2", "interrupted", False)
RUN: Frame = {"type": "commandExecution", "id": "c", "command": "ls", "status": "completed", "exitCode": 0}


def opened(parser: CodexParser, *turns: Turn) -> None:
    """The thread is opened, and has these, the oldest first."""
    (asked, *_) = Codex().open(Settings(), "thread", "/vibespace", "r")
    page = [{"id": name, "status": status, "completedAt": 1 if known else None} for name, status, known in turns]
    status = {"type": "active" if any(each[1] == "inProgress" for each in turns) else "idle"}
    thread = {"id": "thread", "status": status}
    replied(parser, asked, thread=thread, initialTurnsPage={"data": page[::-1]})


def listed(parser: CodexParser, *there: tuple[str, str], message: str = "") -> list[Event]:
    """What it makes of a list of what was said: in which turns, the oldest first."""
    (asked,) = Codex().look_up("thread", message, "r")
    data = [{"turnId": turn, "item": said(words, words)} for turn, words in reversed(there)]
    return replied(parser, asked, data=data)[:-1]


def refused(parser: CodexParser) -> list[Event]:
    """What it makes of a list that is refused."""
    (asked,) = Codex().look_up("thread", "", "r")
    return list(parser.feed(encode({"id": json.loads(asked)["id"], "error": {"message": "no"}})))


def said(words: str, message: str = "") -> Frame:
    return {
        "type": "userMessage",
        "id": f"i-{words}",
        "clientId": message,
        "content": [{"type": "text", "text": words}],
    }


def in_short(events: list[Event]) -> list[str]:
    found = []
    for event in events:
        match event:
            case TurnStarted():
                found.append(f"{event.turn} begins")
            case TurnEnded():
                found.append(f"{event.turn} {event.reason}")
            case Text():
                found.append(event.text)
            case Error():
                found.append(f"{event.turn} {event.trouble}")
            case WorkEnded():
                found.append("idle")
            case _:
                found.append(type(event).__name__)
    return found
