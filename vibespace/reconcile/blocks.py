"""What an agent's program tells, as the log keeps it. A block is a harness event: `kind`, and its fields that say
something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from vibespace.domain.transcripts import Block
from vibespace.harness.events import (
    ApprovalAsked,
    ConversationJoined,
    Delta,
    Event,
    Replied,
    SettingsStrayed,
    ToolProgress,
)

_UNKEPT = (ConversationJoined, Delta, SettingsStrayed, ToolProgress)
"""What comes whole later, is a sign of life, or concerns only how the program is driven."""
LONGEST = 2000
"""Characters of a text in an event whose whole is kept apart."""


def blocks_of(events: Iterable[Event], mask: Callable[[str], str]) -> list[Block]:
    """Those of `events` that are kept, without secret values."""
    return [_block(event, mask) for event in events if _is_kept(event)]


def shortened(block: Block) -> Block:
    """With the beginnings of long texts, and `cut` when that is not all."""
    short = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in block.items()}
    return short if short == block else {**short, "cut": True}


def _is_kept(event: Event) -> bool:
    if isinstance(event, Replied):
        return bool(event.refusal)
    return not isinstance(event, _UNKEPT)


def _block(event: Event, mask: Callable[[str], str]) -> Block:
    told: Block = {"kind": _kind(type(event).__name__)}
    for field in fields(event):
        value = getattr(event, field.name)
        value = value if isinstance(value, int | float) else _plain(value, mask)
        if value != field.default and value not in ("", None):
            told[field.name] = value
    if "input" in told or isinstance(event, ApprovalAsked):
        told["input"] = json.dumps(told.get("input", {}), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if isinstance(event, ApprovalAsked):
        told["input_hash"] = sha256(f"{told.get('tool', '')}\n{told['input']}".encode()).hexdigest()
    return told


def _kind(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()


def _plain(value: Any, mask: Callable[[str], str]) -> Any:
    match value:
        case Enum():
            return value.value
        case str():
            return mask(value)
        case int() | float():
            return value if mask(written := json.dumps(value)) == written else mask(written)
        case Mapping():
            return {mask(str(key)): _plain(inner, mask) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, mask) for inner in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {name: inner for name, inner in asdict(value).items() if inner}
    return value
