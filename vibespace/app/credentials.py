"""What may be asked of credentials."""

from __future__ import annotations

from collections.abc import Mapping

from vibespace.app.live import State
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain import credentials as domain
from vibespace.domain import names
from vibespace.domain.agents import Agent
from vibespace.domain.credentials import Credential
from vibespace.domain.vibespaces import Vibespace
from vibespace.errors import FailedPrecondition


def set_credential(
    transaction: Transaction, *, parent: str, type: str, key: str, settings: Mapping[str, str], sealed: str
) -> Credential:
    """A credential for `parent` (empty: every vibespace), or another value of the one that is there.

    The vault has the value under the uid `sealed`; `key` is domain.check_key's.
    """
    scope = _scope(transaction.state, parent)
    domain.check_settings(type, dict(settings), "credential")
    if known := transaction.state.credentials.get(parent, {}).get((type, key)):
        draft = transaction.change(known)
        draft.replace(dict(settings), sealed)
        return draft
    return transaction.add(
        Credential.create(
            transaction.new_id(),
            scope=scope,
            parent=parent,
            type=type,
            key=key,
            settings=dict(settings),
            sealed=sealed,
        )
    )


@makes_room
def delete_credential(transaction: Transaction, *, name: str) -> Credential:
    """Nobody gets it any more."""
    draft = transaction.change(transaction.state.credential(name))
    draft.delete()
    return draft


def forget(transaction: Transaction, whose: Agent | Vibespace) -> None:
    """Those that are for `whose` alone go with it."""
    for credential in transaction.state.credentials.get(whose.subject, {}).values():
        transaction.change(credential).delete()


def owners(state: State) -> set[str]:
    """Under which uids the vault is to have values."""
    kept = {credential.sealed for held in state.credentials.values() for credential in held.values()}
    return kept | {agent.uid for agent in state.agents()}


def _scope(state: State, parent: str) -> str:
    """Raises NotFound, FailedPrecondition DELETING, InvalidArgument RESOURCE_NAME_INVALID."""
    if not parent:
        return domain.HOST
    if "/agents/" not in parent:
        state.vibespace(names.parse_vibespace(parent, "parent")).must_stay()
        return domain.VIBESPACE
    agent = state.agent(*names.parse_agent(parent, "parent"))
    state.vibespace_of(agent).must_stay()
    if agent.deleting:
        raise FailedPrecondition("DELETING", f"Agent '{agent.name}' is being deleted.", agent=agent.name)
    return domain.AGENT
