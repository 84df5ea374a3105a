"""What may be asked of tool calls that wait for a decision."""

from __future__ import annotations

from uuid import UUID

from vibespace.app.live import State
from vibespace.app.writer import Transaction, makes_room
from vibespace.domain.approvals import Approval
from vibespace.errors import InvalidArgument, NotFound


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
    """By its id, or 8 characters or more of its beginning: with fewer one hits what was not meant. Of what is over it
    can be said how it ended.

    Raises NotFound APPROVAL_NOT_FOUND, InvalidArgument APPROVAL_AMBIGUOUS.
    """
    waiting = [approval for each in state.approvals.values() for approval in each.values()]
    over = [gone.aggregate for gone in state.gone.values() if isinstance(gone.aggregate, Approval)]
    found: list[Approval] = []
    for those in (waiting, over):
        found = found or [each for each in those if len(approval_id) >= 8 and each.uid.startswith(approval_id)]
    if not found:
        raise NotFound(
            "APPROVAL_NOT_FOUND",
            f"Nothing that waits for a decision has the id {approval_id[:60]!a}.",
            field="name",
            hint="'vibespace approval list' shows what waits.",
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
