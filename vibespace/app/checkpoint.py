"""The live state at one place of the log, in a file beside it, so that a start need not fold everything. Disposable.

One JSON value a line: a header that says of which log, place and build it is, what the State holds, and a hash over all
that. Whatever is wrong with the file, there is simply no checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

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
    """Replace the file at `path`. Not synced: what a power failure leaves of it is noticed, and it is made again."""
    digest = sha256()
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            for line in _lines(checkpoint):
                digest.update(line)
                file.write(line)
            file.write(_line(digest.hexdigest()))
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)  # half a file on a full disk helps nobody
        raise


def read(path: Path) -> Checkpoint | None:
    """What was written by this very build, whole; None for anything else."""
    try:
        *lines, last = path.read_bytes().splitlines(keepends=True)
        if json.loads(last) != sha256(b"".join(lines)).hexdigest():
            return None
        header, *parts = map(json.loads, lines)
        if header["build"] != build():
            return None
        state = State()
        for part in parts:
            _put(state, *part)
        state.position, state.forgotten = header["position"], header["forgotten"]
        return Checkpoint(state, bytes.fromhex(header["hash"]))
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


@cache
def build() -> str:
    """What decides how events fold: another build may come to another state from the same log."""
    package = Path(__file__).parents[1]
    sources = [*sorted((package / "domain").glob("*.py")), package / "app" / "live.py", Path(__file__)]
    digest = sha256(version("eventsourcing").encode())
    for source in sources:
        digest.update(sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def _lines(checkpoint: Checkpoint) -> Iterator[bytes]:
    """A line at a time: other threads get their turn in between."""
    state = checkpoint.state
    header = {"position": state.position, "hash": checkpoint.hash.hex(), "forgotten": state.forgotten}
    yield _line({"build": build(), **header})
    for aggregate in state.aggregates.values():
        yield _line(["aggregate", *_told(aggregate)])
    for gone in state.gone.values():
        yield _line(["gone", gone.position, gone.time.isoformat(), *_told(gone.aggregate)])
    for uid, position in state.positions.items():
        yield _line(["position", str(uid), position])
    for (of, prefix), number in state.numbers.items():
        yield _line(["number", of, prefix, number])
    for name, data_uid in state.kept.items():
        yield _line(["kept", name, data_uid])
    for request_id, known in state.requests.items():
        yield _line(["request", request_id, known.digest, str(known.uid), known.position, known.time.isoformat()])
    for uid, (position, request_id) in state.asked.items():
        yield _line(["asked", str(uid), position, request_id])


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


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
