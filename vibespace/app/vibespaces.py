"""What may be asked of vibespaces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from vibespace.app import agents, credentials, host
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain import images, mounts, names, quantities, repositories, vibespaces
from vibespace.domain.agents import FAILED
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound

_CHECKS: Mapping[str, Callable[[Any, str], object]] = {
    "repo": repositories.check_source,
    "branch": repositories.check_branch,
    "cpu": quantities.cpu_millis,
    "cpu_limit": quantities.cpu_millis,
    "memory": quantities.memory_bytes,
    "memory_limit": quantities.memory_bytes,
    "storage": quantities.memory_bytes,
    "mounts": mounts.check,
    "image": images.check_reference,
}
"""Each setting of a spec that can be wrong, and what refuses it."""

CHANGEABLE = ("cpu", "cpu_limit", "memory", "memory_limit")
"""What may change after create."""


def create_vibespace(
    transaction: Transaction,
    *,
    name: str,
    spec: Mapping[str, Any],
    agent_name: str,
    agent_type: str,
    reuse_data: bool,
    agent_uid: UUID | None = None,
    env: Sequence[str] = (),
    share_credentials: bool = False,
    settings: Mapping[str, Any] = {},
) -> Vibespace:
    """A vibespace and its primary agent; for `agent_uid` and what follows see agents.add_agent."""
    state = transaction.state
    names.check_name(name, "vibespace_id")
    _check_spec(spec)
    if name in state.vibespaces:
        raise AlreadyExists(
            "VIBESPACE_EXISTS",
            f"There is a vibespace '{name}' already.",
            field="vibespace_id",
            hint=f"'vibespace info {name}' shows it.",
            vibespace=name,
        )
    kept = state.kept.get(name)
    if kept and not reuse_data:
        raise FailedPrecondition(
            "DATA_KEPT",
            f"Data of an earlier vibespace '{name}' was kept.",
            hint="Take it over with --reuse-data; to discard it, do so and then delete without --keep-data.",
            vibespace=name,
        )
    if reuse_data and not kept:
        raise FailedPrecondition(
            "NO_KEPT_DATA",
            f"No data was kept of a vibespace '{name}'.",
            field="reuse_data",
            hint="Without --reuse-data a new one is made.",
        )
    host.require_awake(state.host, f"'{name}' was not created")
    host.require_network(state.host, spec.get("network", vibespaces.OPEN))
    host.require_mounts(state.host, spec.get("mounts", ()))
    _require_way_to_repository(spec)
    uid = transaction.new_id()
    vibespace = transaction.add(Vibespace.create(uid, name=name, data_uid=kept or str(uid), spec=dict(spec)))
    agents.add_agent(
        transaction,
        vibespace,
        name=agent_name,
        type=agent_type,
        primary=True,
        uid=agent_uid,
        env=env,
        share_credentials=share_credentials,
        settings=settings,
        field="agent",
    )
    return vibespace


def _require_way_to_repository(spec: Mapping[str, Any]) -> None:
    """Raises InvalidArgument REPOSITORY_OUT_OF_REACH for one that would have to be fetched where nothing leads out."""
    if spec.get("network") == vibespaces.NONE and (source := spec.get("repo")) and not repositories.is_path(source):
        raise InvalidArgument(
            "REPOSITORY_OUT_OF_REACH",
            "With the network none, no repository can be fetched from a URL.",
            field="spec.repo",
            hint="Name a directory of a clone, which is sent in, or leave --network out.",
        )


def change_vibespace(
    transaction: Transaction, *, name: str, spec: Mapping[str, Any], fields: Collection[str]
) -> Vibespace:
    """Other values for `fields` of the spec; one that is not in `spec` gets its default again."""
    for changed in fields:
        if changed not in CHANGEABLE:
            raise InvalidArgument(
                "FIELD_IMMUTABLE", f"{changed[:60]!a} cannot change after create.", field="update_mask"
            )
    draft = transaction.change(transaction.state.vibespace(name))
    wanted = {key: value for key, value in draft.spec.items() if key not in fields}
    wanted |= {key: value for key, value in spec.items() if key in fields}
    _check_spec(wanted)
    draft.change_spec(wanted)
    return draft


def start_vibespace(transaction: Transaction, *, name: str) -> Vibespace:
    """Its agents come back, and what failed is tried again."""
    draft = transaction.change(transaction.state.vibespace(name))
    host.require_awake(transaction.state.host, f"'{name}' was not started")
    draft.start(again=any(FAILED in (agent.observed, agent.worktree) for agent in transaction.state.agents(name)))
    for agent in transaction.state.agents(name):
        if agent.started and agent.worktree == FAILED and not agent.deleting:
            transaction.change(agent).start()
    return draft


@makes_room
def stop_vibespace(transaction: Transaction, *, name: str) -> Vibespace:
    """Its agents rest."""
    draft = transaction.change(transaction.state.vibespace(name))
    draft.stop()
    return draft


@makes_room
def delete_vibespace(transaction: Transaction, *, name: str, keep_data: bool) -> Vibespace:
    """It is on its way out."""
    draft = transaction.change(transaction.state.vibespace(name))
    draft.request_deletion(keep_data)
    return draft


def repository_ready(transaction: Transaction, *, uid: UUID, commit: str) -> Vibespace:
    """The repository of that very vibespace was cloned; its name may have gone to another meanwhile."""
    draft = transaction.change(_very(transaction, uid))
    draft.repository_ready(commit)
    return draft


def repository_failed(transaction: Transaction, *, uid: UUID, reason: str) -> Vibespace:
    """The repository of that very vibespace could not be cloned; when it is on its way to rest, that is why."""
    draft = transaction.change(_very(transaction, uid))
    if draft.started and not draft.deleting:
        draft.repository_failed(transaction.mask(reason))
    return draft


def _very(transaction: Transaction, uid: UUID) -> Vibespace:
    found = transaction.state.aggregates.get(uid)
    if not isinstance(found, Vibespace):
        raise NotFound("VIBESPACE_NOT_FOUND", "That vibespace was deleted meanwhile.")
    return found


@makes_room
def worktree_removed(transaction: Transaction, *, uid: UUID, agent: str, reason: str) -> Vibespace:
    """What a deleted agent has left in that very vibespace is gone, or stays for a reason."""
    draft = transaction.change(_very(transaction, uid))
    draft.worktree_removed(agent, transaction.mask(reason))
    return draft


@makes_room
def deletion_failed(transaction: Transaction, *, name: str, reason: str) -> Vibespace:
    """The engine would not take it away yet."""
    draft = transaction.change(transaction.state.vibespace(name))
    draft.deletion_failed(transaction.mask(reason))
    return draft


@makes_room
def complete_deletion(transaction: Transaction, *, name: str) -> Vibespace:
    """Its name is free again."""
    draft = transaction.change(transaction.state.vibespace(name))
    credentials.forget(transaction, draft)
    draft.complete_deletion()
    return draft


def _check_spec(spec: Mapping[str, Any]) -> None:
    for setting, value in spec.items():
        if setting in _CHECKS:
            _CHECKS[setting](value, f"spec.{setting}")
    if "branch" in spec and "repo" not in spec:
        raise InvalidArgument("BRANCH_WITHOUT_REPO", "A branch needs a repository.", field="spec.branch")
    if "worktree" in spec and "repo" not in spec:
        raise InvalidArgument("WORKTREE_WITHOUT_REPO", "Worktrees need a repository.", field="spec.worktree")
    for asked, limit, measure in (
        ("cpu", "cpu_limit", quantities.cpu_millis),
        ("memory", "memory_limit", quantities.memory_bytes),
    ):
        if asked in spec and limit in spec and measure(spec[asked], asked) > measure(spec[limit], limit):
            raise InvalidArgument(
                "QUANTITY_INVALID", f"{spec[asked]} is more than the limit {spec[limit]}.", field=f"spec.{asked}"
            )
