"""What the log has of a transcript, as it is told: nothing in it may end a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import EnumType
from typing import Any, get_type_hints
from uuid import UUID

import pytest

from vibespace.app.recorder import Recorded
from vibespace.daemon.blocks import blocks_of
from vibespace.harness.events import Error, Event, RateLimit, ToolResult, Trouble
from vibespace.reconcile.blocks import blocks_of as kept
from vibespace.v1 import conversations_pb2 as v1

UID = UUID(int=3)


def told(topic: str, data: dict[str, Any]) -> v1.Block:
    body = {"timestamp": {"_data_": "2026-01-01T00:00:00+00:00"}, "epoch": 1, "seq": 1, **data}
    (found,) = blocks_of(Recorded(1, UID, 1, topic, json.dumps(body).encode(), b""), str(UID), "log")
    return found


LEAST, MOST = -(1 << 31), (1 << 31) - 1


@pytest.mark.parametrize(
    ("number", "expected"), [(0, 0), (MOST, MOST), (LEAST, LEAST), (MOST + 1, None), (LEAST - 1, None), (1 << 53, None)]
)
def test_numbers_beyond_the_range(number: int, expected: int | None) -> None:
    """They are left out, and the rest is told."""
    events: list[tuple[Event, str, str]] = [
        (ToolResult(call="c", text="t", exit_code=number), "tool_result", "exit_code"),
        (Error(trouble=Trouble.OTHER, text="t", status=number), "error", "status"),
        (RateLimit(window="w", percent=number, resets=None, reached=True), "rate_limit", "percent"),
    ]
    for event, kind, field in events:
        block = getattr(told("transcript.line_read", {"blocks": kept([event], str)}), kind)
        assert (getattr(block, field) if block.HasField(field) else None) == expected
        assert block.ByteSize() > 0


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"code": 0}, 0),
        ({"signal": 9}, -9),
        ({}, None),
        ({"code": 1 << 40}, None),
        ({"code": "x"}, None),
        ({"signal": "x"}, None),
        ({"signal": []}, None),
        ({"code": 1.5}, None),
    ],
)
def test_ends_of_every_kind(how: dict[str, Any], expected: int | None) -> None:
    """What is no exit code is none, whatever was said in the runner's place."""
    ended = told("transcript.program_ended", {"how": how}).program_ended
    assert (ended.code if ended.HasField("code") else None) == expected


NOTHING: dict[Any, Any] = {str: "", bool: False, int | None: None, Mapping[str, Any]: {}}


def least(kind: type[Event]) -> Event:
    """Says as little as one can."""
    hints = get_type_hints(kind)
    needed = {field.name: hints[field.name] for field in fields(kind) if field.default is MISSING}
    values: dict[str, Any] = {
        name: next(iter(hint)) if isinstance(hint, EnumType) else NOTHING[hint] for name, hint in needed.items()
    }
    return kind(**values)


@pytest.mark.parametrize("kind", Event.__subclasses__())
def test_events_that_say_nothing(kind: type[Event]) -> None:
    """Each is told all the same."""
    for block in kept([least(kind)], str):
        assert told("transcript.line_read", {"blocks": [block]}).WhichOneof("block") == block["kind"]
