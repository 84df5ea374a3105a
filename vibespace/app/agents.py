"""What may be asked of agents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from vibespace.app import approvals, credentials, host, messages
from vibespace.app.settings import CHANGEABLE, check_settings
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain import names
from vibespace.domain.agents import STOPPED, Agent, given
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import AlreadyExists, InvalidArgument, NotFound

_DELETED = "its agent was deleted"


def create_agent(
    transaction: Transaction,
    *,
    vibespace: str,
    name: str,
    type: str,
    uid: UUID | None = None,
    env: Sequence[str] = (),
    share_credentials: bool = False,
    settings: Mapping[str, Any] = {},
) -> Agent:
    """One more agent; an empty type means the primary's, an empty name the next number. See add_agent."""
    home = transaction.state.vibespace(vibespace)
    home.must_stay()
    host.require_awake(transaction.state.host, f"No agent of '{vibespace}' was created")
    kind = type or transaction.state.primary(vibespace).type
    return add_agent(
        transaction,
        home,
        name=name,
        type=kind,
        primary=False,
        uid=uid,
        env=env,
        share_credentials=share_credentials,
        settings=settings,
        field="settings",
    )


def add_agent(
    transaction: Transaction,
    vibespace: Vibespace,
    *,
    name: str,
    type: str,
    primary: bool,
    uid: UUID | None = None,
    env: Sequence[str] = (),
    share_credentials: bool = False,
    settings: Mapping[str, Any] = {},
    field: str,
) -> Agent:
    """An agent in `vibespace`, which may be new itself. With `env`, `uid` is whom the vault has those values for.

    `settings` are those that may change, as far as they are given; `field` is what the request calls them.
    """
    state = transaction.state
    if type not in names.PREFIXES:
        raise InvalidArgument(
            "AGENT_TYPE_UNKNOWN", "An agent is of type claude-code or codex.", field="agent.type", hint="Give -t."
        )
    if name:
        names.check_name(name, "agent_id")
    else:
        name = f"{names.PREFIXES[type]}-{state.numbers.get((vibespace.uid, names.PREFIXES[type]), 0) + 1}"
    if name in state.members.get(vibespace.name, {}):
        raise AlreadyExists(
            "AGENT_EXISTS",
            f"There is an agent '{name}' in '{vibespace.name}' already.",
            field="agent_id",
            hint=f"'vibespace agent info {name}@{vibespace.name}' shows it.",
            agent=name,
        )
    check_settings(type, settings, field)
    made = {"env": list(env), "share_credentials": share_credentials}
    return transaction.add(
        Agent.create(
            uid or transaction.new_id(),
            vibespace_uid=vibespace.uid,
            vibespace=vibespace.name,
            name=name,
            type=type,
            primary=primary,
            settings={name: value for name, value in made.items() if value} | given(settings),
        )
    )


def change_agent(
    transaction: Transaction, *, vibespace: str, name: str, settings: Mapping[str, Any], fields: Collection[str]
) -> Agent:
    """Other values for `fields` of its settings; one that is not in `settings` is left to its program again."""
    for changed in fields:
        if changed not in CHANGEABLE:
            raise InvalidArgument(
                "FIELD_IMMUTABLE", f"{changed[:60]!a} cannot change after create.", field="update_mask"
            )
    draft = transaction.change(transaction.state.agent(vibespace, name))
    named = {key: value for key, value in settings.items() if key in fields}
    draft.change_settings(named, [key for key in dict.fromkeys(fields) if key not in named])
    check_settings(draft.type, draft.settings, "agent.settings")
    return draft


def start_agent(transaction: Transaction, *, vibespace: str, name: str) -> Agent:
    """It should run."""
    draft = transaction.change(transaction.state.agent(vibespace, name))
    host.require_awake(transaction.state.host, f"'{name}' of '{vibespace}' was not started")
    draft.start()
    return draft


@makes_room
def stop_agent(transaction: Transaction, *, vibespace: str, name: str) -> Agent:
    """It should rest."""
    draft = transaction.change(transaction.state.agent(vibespace, name))
    draft.stop()
    return draft


@makes_room
def delete_agent(transaction: Transaction, *, vibespace: str, name: str, force: bool = False) -> Agent:
    """It is on its way out; with `force` also the work that its worktree alone has."""
    draft = transaction.change(transaction.state.agent(vibespace, name))
    draft.request_deletion(force)
    return draft


@makes_room
def observe_agent(
    transaction: Transaction,
    *,
    vibespace: str,
    name: str,
    state: str,
    reason: str = "",
    image: str = "",
    generation: int,
    vibespace_generation: int,
) -> Agent:
    """What the engine shows of it. Nothing that it asked waits while it is stopped."""
    draft = transaction.change(transaction.state.agent(vibespace, name))
    if state == STOPPED:
        approvals.expire_all(transaction, draft.uid, "its agent was stopped")
    draft.observe(state, transaction.mask(reason), image, generation, vibespace_generation)
    return draft


@makes_room
def observe_worktree(
    transaction: Transaction, *, vibespace: str, name: str, uid: UUID, state: str, reason: str, notes: Sequence[str]
) -> Agent:
    """How making the worktree of that very agent went; its name may have gone to another meanwhile."""
    draft = transaction.change(transaction.state.agent(vibespace, name))
    if draft.id != uid:
        raise NotFound("AGENT_NOT_FOUND", "That agent was deleted meanwhile.")
    draft.observe_worktree(state, transaction.mask(reason), [transaction.mask(note) for note in notes])
    return draft


@makes_room
def complete_deletion(transaction: Transaction, *, vibespace: str, name: str) -> Agent:
    """Nothing of it is left but, in a vibespace that stays, a worktree that somebody else must remove."""
    found = transaction.state.agent(vibespace, name)
    approvals.expire_all(transaction, found.uid, _DELETED)  # what it has to do with is over before it is
    messages.give_up_all(transaction, found.uid, _DELETED)
    draft = transaction.change(found)
    credentials.forget(transaction, draft)
    draft.complete_deletion()
    home = transaction.state.vibespace(vibespace)
    if home.worktree and not home.deleting:
        transaction.change(home).leave_worktree(name, draft.forced)
    return draft
