"""A tool call that waits for a decision: asked, decided, answered; or expired."""

from __future__ import annotations

from typing import Any

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate
from vibespace.errors import Aborted, FailedPrecondition, InvalidArgument

ASKED, DECIDED, ANSWERED, EXPIRED = "asked", "decided", "answered", "expired"
ALLOWED, DENIED = "allowed", "denied"


class Approval(Aggregate):
    """The first decision holds. What nobody decided before its turn or program ended is expired, never allowed."""

    TOPIC = "approval"

    class Event(Aggregate.Event):
        """See Aggregate.Event."""

    @event("Created", topic="approval.requested")
    def __init__(
        self,
        agent_uid: str,
        vibespace: str,
        agent: str,
        request: str,
        turn: str,
        tool: str,
        input: str,
        input_hash: str,
        rules: list[str],
        why: str,
    ) -> None:
        self.agent_uid = agent_uid
        self.vibespace = vibespace
        self.agent = agent
        self.request = request
        self.turn = turn
        self.tool = tool
        self.input = input
        self.input_hash = input_hash
        self.rules = rules
        self.why = why
        self.state = ASKED
        self.verdict = ""
        self.always = False
        self.reason = ""

    @classmethod
    def name_subject(cls, **created: Any) -> str:
        return names.approval_name(created["vibespace"], created["agent"], str(created["id"]))

    @property
    def subject(self) -> str:
        return names.approval_name(self.vibespace, self.agent, self.uid)

    @property
    def gone(self) -> bool:
        return self.state in (ANSWERED, EXPIRED)

    def decide(self, verdict: str, input_hash: str, *, always: bool = False, reason: str = "") -> None:
        """Allow or deny what was shown, of which `input_hash` is; `always` as its rules say.

        Raises FailedPrecondition APPROVAL_DECIDED, APPROVAL_EXPIRED, RULES_MISSING; Aborted INPUT_CHANGED.
        """
        if self.state == EXPIRED:
            raise FailedPrecondition(
                "APPROVAL_EXPIRED",
                f"'{self.agent}' no longer waits for that decision: {self.reason}.",
                hint="'vibespace approval list' shows what waits.",
            )
        if self.state != ASKED:
            raise FailedPrecondition(
                "APPROVAL_DECIDED",
                f"That was decided already: it is {self.verdict}.",
                hint="'vibespace events --type approval' shows by whom.",
            )
        if input_hash and input_hash != self.input_hash:
            raise Aborted(
                "INPUT_CHANGED",
                "What would run is not what was shown.",
                hint="Look at it again with 'vibespace approval list'.",
            )
        if always and not self.rules:
            raise InvalidArgument(
                "RULES_MISSING",
                "The program names no rule by which this could be allowed for longer.",
                field="always",
                hint="Allow it this once.",
            )
        self._decide(verdict=verdict, always=always, reason=reason)

    def answer(self, verdict: str = "") -> None:
        """The program has a decision: ours, or `verdict` (empty when it does not say) that was made on its terminal."""
        if not self.gone:
            self._answer(verdict=self.verdict or verdict)

    def expire(self, reason: str) -> None:
        """Nobody waits for it any more."""
        if not self.gone:
            self._expire(reason=reason)

    @event("Decided", topic="approval.decided")
    def _decide(self, verdict: str, always: bool, reason: str) -> None:
        self.state = DECIDED
        self.verdict = verdict
        self.always = always
        self.reason = reason

    @event("Answered", topic="approval.answered")
    def _answer(self, verdict: str) -> None:
        self.state = ANSWERED
        self.verdict = verdict

    @event("Expired", topic="approval.expired")
    def _expire(self, reason: str) -> None:
        self.state = EXPIRED
        self.reason = reason
