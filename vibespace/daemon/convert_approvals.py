"""Approvals -> protos."""

from __future__ import annotations

from vibespace.daemon.convert import timestamp
from vibespace.domain import approvals, names
from vibespace.domain.approvals import Approval
from vibespace.v1 import approvals_pb2 as v1

_STATES = {
    approvals.ASKED: v1.APPROVAL_STATE_ASKED,
    approvals.ALLOWED: v1.APPROVAL_STATE_ALLOWED,
    approvals.DENIED: v1.APPROVAL_STATE_DENIED,
    approvals.EXPIRED: v1.APPROVAL_STATE_EXPIRED,
    approvals.ANSWERED: v1.APPROVAL_STATE_ANSWERED,
}


def approval_message(found: Approval) -> v1.Approval:
    """What waits for a decision, or how that came out."""
    waits, deadline = found.state == approvals.ASKED, found.deadline
    return v1.Approval(
        name=found.subject,
        uid=found.uid,
        agent=names.called(found.vibespace, found.agent),
        state=_STATES[found.state if waits or found.state == approvals.EXPIRED else _decided(found)],
        tool=found.tool,
        input=found.input,
        input_hash=found.input_hash,
        rules=found.rules,
        reason=found.why if waits else found.reason,
        create_time=timestamp(found.created_on),
        expire_time=timestamp(deadline) if deadline else None,
    )


def _decided(found: Approval) -> str:
    return found.verdict or approvals.ANSWERED
