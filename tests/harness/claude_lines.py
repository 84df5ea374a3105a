"""What Claude Code says, as lines of its streams, and what is told of them."""

from __future__ import annotations

import json
from typing import Any

from vibespace.harness.claude_code import ClaudeCode
from vibespace.harness.events import Event, Source, TurnEnded, TurnStarted
from vibespace.harness.reading import encode

CLAUDE = ClaudeCode()
INIT = {"type": "system", "subtype": "init", "session_id": "c-1", "uuid": "t-1"}
RESULT = {"type": "result", "subtype": "success", "session_id": "c-1", "uuid": "r-1"}


def told(*lines: dict[str, Any], source: Source = Source.OUTPUT) -> list[Event]:
    parser = CLAUDE.parser()
    return [event for line in lines for event in parser.feed(encode(line), source)]


def only(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def sent(line: bytes) -> Any:
    return json.loads(line)


def prompted(turn: str) -> tuple[Source, dict[str, Any]]:
    """What a hook tells of a prompt."""
    return Source.HOOK, {"hook_event_name": "UserPromptSubmit", "session_id": "c-1", "prompt_id": turn}


def stopped(turn: str) -> tuple[Source, dict[str, Any]]:
    return Source.HOOK, {"hook_event_name": "Stop", "session_id": "c-1", "prompt_id": turn}


def typed(turn: str, words: str = "hi") -> tuple[Source, dict[str, Any]]:
    """What the transcript tells of a prompt."""
    where = {"sessionId": "c-1", "entrypoint": "cli", "type": "user"}
    return Source.RECORD, {**where, "promptId": turn, "uuid": f"u-{turn}", "message": {"content": words}}


TOOK = (Source.RECORD, {"type": "system", "subtype": "turn_duration", "sessionId": "c-1", "entrypoint": "cli"})


def turns(steps: list[tuple[Source, dict[str, Any]]]) -> list[str]:
    """Which turns begin and end by the lines of several streams, in this order."""
    parser = CLAUDE.parser()
    events = [event for source, line in steps for event in parser.feed(encode(line), source)]
    marks = {TurnStarted: "+", TurnEnded: "-"}
    return [f"{marks[type(event)]}{event.id}" for event in events if type(event) in marks]
