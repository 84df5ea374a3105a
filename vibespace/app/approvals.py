"""What may be asked of tool calls that wait for a decision."""

from __future__ import annotations

from uuid import UUID

from vibespace.app.live import State
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain.approvals import Approval
from vibespace.errors import InvalidArgument, NotFound

_SHORTEST = 4
"""Characters of an id: with fewer a slip of the hand hits what was not meant."""


def decide(
    transaction: Transaction,
    *,
    approval_id: str,
    verdict: str,
    input_hash: str = "",
    always: bool = False,
    reason: str = "",
) -> Approval:
    """Allow or deny it."""
    draft = transaction.change(find(transaction.state, approval_id))
    draft.decide(verdict, input_hash, always=always, reason=transaction.mask(reason))
    return draft


def time_out(transaction: Transaction, *, uid: UUID, agent_uid: str) -> Approval:
    """Deny it, if its time is over and nobody has decided."""
    draft = transaction.change(_waiting(transaction.state, uid, agent_uid))
    draft.time_out()
    return draft


@makes_room
def answered(transaction: Transaction, *, uid: UUID, agent_uid: str) -> Approval:
    """The program was told."""
    draft = transaction.change(_waiting(transaction.state, uid, agent_uid))
    draft.answer()
    return draft


def expire_all(transaction: Transaction, agent_uid: str, reason: str) -> None:
    """Nobody waits any more for what that agent asked."""
    for waiting in list(transaction.state.approvals.get(agent_uid, {}).values()):
        transaction.change(waiting).expire(reason)


def find(state: State, approval_id: str) -> Approval:
    """By its id, or as much of its beginning as is no other's. Of what is over it can be said how it ended; it counts
    as another, so that who means it never hits what waits by now.

    Raises NotFound APPROVAL_NOT_FOUND, InvalidArgument APPROVAL_AMBIGUOUS.
    """
    known = [approval for each in state.approvals.values() for approval in each.values()]
    known += [gone.aggregate for gone in state.gone.values() if isinstance(gone.aggregate, Approval)]
    found = [each for each in known if len(approval_id) >= _SHORTEST and each.uid.startswith(approval_id)]
    if not found:
        raise NotFound(
            "APPROVAL_NOT_FOUND",
            f"Nothing that waits for a decision has the id {approval_id[:60]!a}.",
            field="name",
            hint=f"'vibespace approval list' shows what waits; {_SHORTEST} characters of its id or more will do.",
        )
    if len(found) > 1:
        raise InvalidArgument(
            "APPROVAL_AMBIGUOUS",
            f"{len(found)} decisions have an id that begins with {approval_id[:60]!a}.",
            field="name",
            hint="Give more of it.",
        )
    return found[0]


def _waiting(state: State, uid: UUID, agent_uid: str) -> Approval:
    found = state.approvals.get(agent_uid, {}).get(uid)
    if found is None:
        raise NotFound("APPROVAL_GONE", "Nobody waits for that decision any more.")
    return found
