"""A tool call that waits for a decision: asked, decided, answered; or expired."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from eventsourcing.domain import event

from vibespace.domain import names
from vibespace.domain.aggregate import Aggregate, acting_at
from vibespace.errors import Aborted, FailedPrecondition, InvalidArgument
from vibespace.moments import span

ASKED, DECIDED, ANSWERED, EXPIRED = "asked", "decided", "answered", "expired"
ALLOWED, DENIED = "allowed", "denied"
LONGEST = timedelta(weeks=52)
"""That a time-out may be: long before there is no year any more to count up to."""


def timeout_of(text: str) -> timedelta | None:
    """How long what is asked waits for a decision, as a setting says it; None for as long as it takes.

    Raises InvalidArgument TIMEOUT_INVALID.
    """
    if text in ("", "0"):
        return None
    length = span(text)
    if not length or length > LONGEST:
        raise InvalidArgument(
            "TIMEOUT_INVALID",
            f"{text[:60]!a} is no time that an approval may wait.",
            field="approval_timeout",
            hint="Say 90s, 10m, 2h, 7d or 2w, 52w at most; 0 has it wait as long as it takes.",
        )
    return length


class Approval(Aggregate):
    """The first decision holds. What nobody decided in its time is denied; what nobody decided before its turn or
    program ended is expired. Neither is ever allowed.
    """

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
        timeout: str = "",  # older events have none
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
        self.timeout = timeout
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

    @property
    def deadline(self) -> datetime | None:
        """When its time is over, while it waits for a decision; None when that may take as long as it takes."""
        length = timeout_of(self.timeout) if self.state == ASKED else None
        return None if length is None else self.created_on + length

    @property
    def _is_late(self) -> bool:
        deadline = self.deadline
        return deadline is not None and acting_at() >= deadline

    def decide(self, verdict: str, input_hash: str, *, always: bool = False, reason: str = "") -> None:
        """Allow or deny what was shown, of which `input_hash` is; `always` as its rules say.

        Raises FailedPrecondition APPROVAL_DECIDED, APPROVAL_EXPIRED, APPROVAL_TIMED_OUT; Aborted INPUT_CHANGED;
        InvalidArgument RULES_MISSING.
        """
        if self.state == EXPIRED:
            raise FailedPrecondition(
                "APPROVAL_EXPIRED",
                f"'{self.agent}' no longer waits for that decision: {self.reason}.",
                hint="'vibespace approval list' shows what waits.",
            )
        if self.state != ASKED:
            if self.verdict:
                how, hint = f": it is {self.verdict}", "'vibespace events --type approval' shows by whom."
            else:  # what was decided, the program does not tell
                how = ", on the program's own interface"
                hint = "'vibespace events --type transcript' shows what followed."
            raise FailedPrecondition("APPROVAL_DECIDED", f"That was decided already{how}.", hint=hint)
        if self._is_late:
            who = names.called(self.vibespace, self.agent)
            raise FailedPrecondition(
                "APPROVAL_TIMED_OUT",
                f"Nobody decided within {self.timeout}: it is denied.",
                hint=f"'vibespace config set {who} --approval-timeout 0' has the next wait as long as it takes.",
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

    def time_out(self) -> None:
        """Deny it, if its time is over and nobody has decided."""
        if self._is_late:
            self._decide(verdict=DENIED, always=False, reason=f"nobody decided within {self.timeout}")

    def answer(self, verdict: str = "") -> None:
        """The program has a decision: `verdict`, or ours where it does not say.

        What it says is what it went by: somebody at its terminal may have been before who decided here.
        """
        if not self.gone:
            self._answer(verdict=verdict or self.verdict)

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
