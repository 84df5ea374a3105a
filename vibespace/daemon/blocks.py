"""What the log has of a transcript -> protos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vibespace.app.recorder import Recorded
from vibespace.app.transcripts import approval_id
from vibespace.daemon import convert
from vibespace.domain.transcripts import Place
from vibespace.v1 import conversations_pb2 as v1

_COMMON = ("id", "conversation", "turn", "parent")
_FIELDS = {field.name: field.message_type for field in v1.Block.DESCRIPTOR.oneofs_by_name["block"].fields}
_CLASSES: Mapping[str, Any] = {
    name: getattr(v1, description.name) for name, description in _FIELDS.items() if description is not None
}
_NARROW = {
    name: frozenset(field.name for field in description.fields if field.type == field.TYPE_INT32)
    for name, description in _FIELDS.items()
    if description
}
_KNOWN = {
    name: frozenset(field.name for field in description.fields) for name, description in _FIELDS.items() if description
}


def blocks_of(recorded: Recorded, agent_uid: str, log_id: str) -> Iterator[v1.Block]:
    """What one event of a transcript tells. What a newer build has written, and this one does not know, is left out."""
    data = recorded.data
    match recorded.topic:
        case "transcript.line_read":
            for block in data["blocks"]:
                if block["kind"] in _CLASSES:
                    yield _block(recorded, block, agent_uid, log_id)
        case "transcript.program_started":
            yield _block(recorded, {"kind": "program_started"}, agent_uid, log_id)
        case "transcript.program_ended":
            how = data["how"]
            code = how.get("code", -how["signal"] if _fits(how.get("signal")) else None)
            yield _block(recorded, {"kind": "program_ended", "code": code}, agent_uid, log_id)


def _block(recorded: Recorded, block: Mapping[str, Any], agent_uid: str, log_id: str) -> v1.Block:
    kind = block["kind"]
    told = {
        name: value
        for name, value in block.items()
        if name in _KNOWN[kind] and (name not in _NARROW[kind] or _fits(value))
    }
    if kind == "approval_asked" and "request" in block:
        place = Place(recorded.data["epoch"], recorded.data["seq"])
        told["approval"] = str(approval_id(agent_uid, place, block["request"]))
    return v1.Block(
        cursor=convert.cursor(log_id, recorded.position),
        time=convert.timestamp(datetime.fromisoformat(recorded.time)),
        **{name: block[name] for name in _COMMON if name in block},
        **{kind: _CLASSES[kind](**told)},
    )


def _fits(value: object) -> bool:
    """Programs say any number, and whoever rules inside anything at all: what is no int32 is left out, as the event
    that has it would end every stream that comes by.
    """
    return isinstance(value, int) and -(1 << 31) <= value < 1 << 31
