"""The live state at one place of the log, in a disposable file beside it, so that a start need not fold everything.

A header that says of which log and place it is, and what the State holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing import domain

from vibespace.app import disposable
from vibespace.app.live import Answered, Gone, State
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.approvals import Approval
from vibespace.domain.conversations import Conversation
from vibespace.domain.credentials import Credential
from vibespace.domain.host import Host
from vibespace.domain.kinds import KINDS
from vibespace.domain.messages import Message
from vibespace.domain.vibespaces import Vibespace


@dataclass(frozen=True)
class Checkpoint:
    """A State, and the hash of the event that it is the fold up to."""

    state: State
    hash: bytes


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file at `path`. Raises OSError."""
    disposable.write(path, build(), _values(checkpoint))


def read(path: Path) -> Checkpoint | None:
    """What was written by this very build, whole; None for anything else."""
    found = disposable.read(path, build())
    if not found:
        return None
    try:
        header, *parts = found
        state = State()
        for part in parts:
            _put(state, *part)
        state.position, state.forgotten = header["position"], header["forgotten"]
        return Checkpoint(state, bytes.fromhex(header["hash"]))
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


@cache
def build() -> str:
    """What decides how events fold: another build may come to another state from the same log."""
    package = Path(__file__).parents[1]
    ours = (*sorted((package / "domain").glob("*.py")), package / "app" / "live.py", Path(__file__))
    return disposable.build((*ours, Path(domain.__file__)))


def _values(checkpoint: Checkpoint) -> Iterator[Any]:
    state = checkpoint.state
    yield {"position": state.position, "hash": checkpoint.hash.hex(), "forgotten": state.forgotten}
    for aggregate in state.aggregates.values():
        yield ["aggregate", *_told(aggregate)]
    for gone in state.gone.values():
        yield ["gone", gone.position, gone.time.isoformat(), *_told(gone.aggregate)]
    for uid, position in state.positions.items():
        yield ["position", str(uid), position]
    for (of, prefix), number in state.numbers.items():
        yield ["number", of, prefix, number]
    for name, data_uid in state.kept.items():
        yield ["kept", name, data_uid]
    for request_id, known in state.requests.items():
        yield ["request", request_id, known.digest, str(known.uid), known.position, known.time.isoformat()]
    for uid, (position, request_id) in state.asked.items():
        yield ["asked", str(uid), position, request_id]


def _told(aggregate: Aggregate) -> tuple[str, dict[str, Any]]:
    fields = {name: value for name, value in vars(aggregate).items() if name != "_pending_events"}
    fields["_id"] = str(fields["_id"])
    for time in ("_created_on", "_modified_on"):
        fields[time] = fields[time].isoformat()
    return next(name for name, kind in KINDS.items() if isinstance(aggregate, kind)), fields


def _aggregate(kind: str, fields: dict[str, Any]) -> Aggregate:
    made = object.__new__(KINDS[kind])
    fields["_id"] = UUID(fields["_id"])
    for time in ("_created_on", "_modified_on"):
        fields[time] = datetime.fromisoformat(fields[time])
    made.__dict__.update(fields, _pending_events=[])
    return made


def _put(state: State, what: str, *told: Any) -> None:
    match what:
        case "aggregate":
            _hold(state, _aggregate(*told))
        case "gone":
            position, time, kind, fields = told
            aggregate = _aggregate(kind, fields)
            state.gone[aggregate.id] = Gone(aggregate, position, datetime.fromisoformat(time))
        case "position":
            state.positions[UUID(told[0])] = told[1]
        case "number":
            state.numbers[told[0], told[1]] = told[2]
        case "kept":
            state.kept[told[0]] = told[1]
        case "request":
            request_id, digest, uid, position, time = told
            state.requests[request_id] = Answered(digest, UUID(uid), position, datetime.fromisoformat(time))
        case "asked":
            state.asked[UUID(told[0])] = (told[1], told[2])
        case _:
            raise ValueError(what)


def _hold(state: State, aggregate: Aggregate) -> None:
    """As State.put does, where nothing moves on. Aggregates come in the order of their creation."""
    state.aggregates[aggregate.id] = aggregate
    match aggregate:
        case Host():
            state.host = aggregate
        case Vibespace():
            state.vibespaces[aggregate.name] = aggregate
            state.members[aggregate.name] = {}
        case Agent():
            state.members[aggregate.vibespace][aggregate.name] = aggregate
        case Conversation() | Message() | Approval():
            state.hold(aggregate)
        case Credential():
            state.credentials.setdefault(aggregate.parent, {})[aggregate.type, aggregate.key] = aggregate
