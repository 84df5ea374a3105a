"""Vibespaces, agents and the host -> protos, and settings from them. What is built here is what clients see, byte for
byte; other nouns have a file of their own beside this one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from vibespace.app.live import State
from vibespace.domain import states, vibespaces, worktrees
from vibespace.domain.agents import Agent
from vibespace.domain.aggregate import Aggregate
from vibespace.domain.host import Host
from vibespace.domain.repositories import HOME, ROOT
from vibespace.domain.states import State as Condition
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import Error
from vibespace.v1 import agents_pb2, cursor_pb2, options_pb2, system_pb2, vibespaces_pb2

AGENT_TYPES = {"claude-code": agents_pb2.AGENT_TYPE_CLAUDE_CODE, "codex": agents_pb2.AGENT_TYPE_CODEX}
_AGENT_TYPE_NAMES = {number: name for name, number in AGENT_TYPES.items()}
NETWORKS = {vibespaces.OPEN: vibespaces_pb2.NETWORK_OPEN, vibespaces.NONE: vibespaces_pb2.NETWORK_NONE}
_NETWORK_NAMES = {number: name for name, number in NETWORKS.items()}
_INTENTS = {True: agents_pb2.RUN_INTENT_START, False: agents_pb2.RUN_INTENT_STOP}
_AGENT_STATES = {state: agents_pb2.AgentState.Value(f"AGENT_STATE_{state.name}") for state in Condition}
_VIBESPACE_STATES = {state: vibespaces_pb2.VibespaceState.Value(f"VIBESPACE_STATE_{state.name}") for state in Condition}
_REPOSITORY_STATES = {
    vibespaces.PENDING: vibespaces_pb2.REPOSITORY_STATE_PENDING,
    vibespaces.READY: vibespaces_pb2.REPOSITORY_STATE_READY,
    vibespaces.FAILED: vibespaces_pb2.REPOSITORY_STATE_FAILED,
}
_WORKTREE_STATES = {
    vibespaces.PENDING: agents_pb2.WORKTREE_STATE_PENDING,
    vibespaces.READY: agents_pb2.WORKTREE_STATE_READY,
    vibespaces.FAILED: agents_pb2.WORKTREE_STATE_FAILED,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT = (ROOT, HOME)
_TEXTS = [
    field.name
    for field in vibespaces_pb2.VibespaceSpec.DESCRIPTOR.fields
    if field.type == FieldDescriptor.TYPE_STRING and field.has_presence
]
"""Settings that an event holds as they come."""
_AGENT_SETTINGS = [
    field
    for field in agents_pb2.AgentSettings.DESCRIPTOR.fields
    if not field.GetOptions().Extensions[options_pb2.flag].immutable
]
"""Those that may change; an event holds them as they come."""


def agent_type(settings: agents_pb2.AgentSettings) -> str:
    """The type asked for; empty when none was."""
    return _AGENT_TYPE_NAMES.get(settings.type, "")


def agent_settings(message: agents_pb2.AgentSettings) -> dict[str, Any]:
    """The settings that are set, as events hold them, of those that may change."""
    found: dict[str, Any] = {}
    for field in _AGENT_SETTINGS:
        value = getattr(message, field.name)
        if field.is_repeated:
            if value:
                found[field.name] = list(value)
        elif message.HasField(field.name):  # type: ignore[arg-type]  # it is one of its fields
            found[field.name] = value
    return found


def spec(message: vibespaces_pb2.VibespaceSpec) -> vibespaces.Spec:
    """The settings that are set, as events hold them."""
    found: vibespaces.Spec = {
        name: getattr(message, name)
        for name in _TEXTS
        if message.HasField(name)  # type: ignore[arg-type]  # each is one of its fields
    }
    if message.mounts:
        found["mounts"] = list(message.mounts)
    if message.sudo:
        found["sudo"] = True
    if message.worktree:
        found["worktree"] = True
    if message.HasField("network"):
        found["network"] = _NETWORK_NAMES.get(message.network, "")
    return found


def _spec_message(spec: vibespaces.Spec) -> vibespaces_pb2.VibespaceSpec:
    network = {"network": NETWORKS[spec["network"]]} if "network" in spec else {}
    return vibespaces_pb2.VibespaceSpec(**spec | network)


def cursor(log_id: str, position: int) -> cursor_pb2.Cursor:
    """A place in a log."""
    return cursor_pb2.Cursor(log_id=log_id, position=position)


def vibespace_message(found: Vibespace, state: State, *, known: bool) -> vibespaces_pb2.Vibespace:
    """`found` as it is in `state`; when the engine is not `known` to have been seen, its state is not known either."""
    host = state.host
    assert host is not None
    members = list(state.members.get(found.name, {}).values())
    condition, reason = states.vibespace_state(found, members, host)
    if not known:
        condition = condition if condition == Condition.DELETING else Condition.UNKNOWN
        reason = host.reason
    status = vibespaces_pb2.VibespaceStatus(
        state=_VIBESPACE_STATES[condition],
        reason=reason,
        unreachable_time=_unreachable(host, reachable=known),
        agents=len(members),
        agents_running=sum(states.agent_state(a, found, host) == Condition.RUNNING for a in members) if known else 0,
        kept_directories=_KEPT,
        profile=vibespaces_pb2.PROFILE_COMFORTABLE if found.spec.get("sudo") else vibespaces_pb2.PROFILE_HARDENED,
    )
    if found.repository != vibespaces.NO_REPOSITORY:
        status.repository.directory = found.directory
        status.repository.state = _REPOSITORY_STATES[found.repository]
        status.repository.reason = found.repository_reason
        status.repository.commit = found.commit
        status.repository.upload = found.waits_for_upload
    return vibespaces_pb2.Vibespace(
        name=found.subject,
        vibespace_id=found.name,
        uid=found.uid,
        spec=_spec_message(found.spec),
        intent=_INTENTS[found.started],
        generation=found.generation,
        status=status,
        create_time=timestamp(found.created_on),
        data_uid=found.data_uid,
        position=position(found, state),
    )


def agent_message(found: Agent, state: State, *, known: bool, held: Error | None = None) -> agents_pb2.Agent:
    """`found` as it is in `state`, and what its program waits for; see vibespace_message."""
    host, vibespace = state.host, state.vibespaces.get(found.vibespace)
    assert host is not None
    condition = states.agent_state(found, vibespace, host) if vibespace else Condition.DELETING
    if condition == Condition.DELETING:
        reason = "" if known else host.reason
    elif not known:
        condition, reason = Condition.UNKNOWN, host.reason
    else:
        assert vibespace is not None
        reason = states.agent_reason(found, vibespace, host) or (held.message if held else "")
    return agents_pb2.Agent(
        name=found.subject,
        agent_id=found.name,
        vibespace_id=found.vibespace,
        uid=found.uid,
        settings=agents_pb2.AgentSettings(type=AGENT_TYPES[found.type], **found.settings),
        primary=found.primary,
        intent=_INTENTS[found.started],
        generation=found.generation,
        status=agents_pb2.AgentStatus(
            state=_AGENT_STATES[condition],
            reason=reason,
            unreachable_time=_unreachable(host, reachable=known),
            observed_generation=found.observed_generation,
            image=found.image,
            next_image=_next_image(found, vibespace, host),
            worktree=_worktree(found) if vibespace is not None and vibespace.worktree else None,
        ),
        create_time=timestamp(found.created_on),
        position=position(found, state),
    )


def _worktree(found: Agent) -> agents_pb2.Worktree:
    """As far as it is known without a look into it."""
    return agents_pb2.Worktree(
        directory=worktrees.place(found.name),
        state=_WORKTREE_STATES[worktrees.STATES[found.worktree]],
        reason=found.worktree_reason,
        notes=found.worktree_notes,
    )


def _next_image(found: Agent, vibespace: Vibespace | None, host: Host) -> str:
    """The image of the next start, where that is known to be another. One asked for by name is looked up then."""
    if not found.image or vibespace is None or vibespace.image:
        return ""
    same = found.image.removeprefix("sha256:") == host.image.removeprefix("sha256:")
    return "" if same else host.image


def host_message(found: Host, *, reachable: bool) -> system_pb2.Host:
    """The machine."""
    engine = system_pb2.HostEngine(**found.engine) if found.engine else None
    return system_pb2.Host(
        initialized=bool(found.engine),
        engine=engine,
        engine_reachable=reachable,
        engine_reason=found.reason,
        engine_unreachable_time=_unreachable(found, reachable=reachable),
        resting=found.resting,
        image=found.image,
        base=found.base,
    )


def _unreachable(host: Host, *, reachable: bool) -> Timestamp | None:
    """Since when its engine does not answer; nothing where it does, or was not asked yet."""
    return None if reachable or not host.lost_at else timestamp(datetime.fromtimestamp(host.lost_at, UTC))


def timestamp(time: datetime) -> Timestamp:
    """As protobuf writes a time."""
    seconds, nanos = since_epoch(time)
    return Timestamp(seconds=seconds, nanos=nanos)


def since_epoch(time: datetime) -> tuple[int, int]:
    """Seconds and nanoseconds: what protobuf's own FromDatetime finds in five times as long."""
    since = time - _EPOCH
    return since.days * 86_400 + since.seconds, since.microseconds * 1000


def position(found: Aggregate, state: State) -> int:
    """Of the last event about it."""
    gone = state.gone.get(found.id)
    return gone.position if gone else state.positions.get(found.id, 0)
