"""What is wrong, as far as the daemon can tell, and how to mend it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from vibespace import amounts
from vibespace.app.feed import Feed
from vibespace.app.log import Log
from vibespace.daemon.auditor import Auditor, Report
from vibespace.daemon.guard import Guard
from vibespace.domain import states
from vibespace.domain.states import State
from vibespace.engine.base import KUBERNETES, Engine, Identity, Inventory
from vibespace.errors import Error
from vibespace.v1.system_pb2 import SEVERITY_ERROR, SEVERITY_OK, SEVERITY_WARNING, Finding, Severity

_RESTORE = "Restore events.db from a backup: what is there goes on being used, and is never edited."
_SHORTER = "Bring back the whole of events.db; if a backup was restored on purpose, remove the file 'head' beside it."
_CHECK = "To check all now: 'vibespace audit verify'."


class Doctor:
    """Looks; changes nothing."""

    def __init__(
        self,
        feed: Feed,
        log: Log,
        auditor: Auditor,
        guard: Guard,
        disk: Callable[[Collection[str]], Awaitable[Mapping[str, int]]],
        credentials: Callable[[], Iterable[Finding]],
    ) -> None:
        """`disk` is Measuring.disk; `credentials` finds those that are of no use any more."""
        self._feed = feed
        self._reserve = log.reserve
        self._auditor = auditor
        self._guard = guard
        self._disk_of = disk
        self._credentials = credentials
        self.engine: Engine | None = None
        """Set when there is one."""

    async def examine(self) -> list[Finding]:
        """All findings, in no order."""
        found = [*await self._engine(), *self._log(), *self._disk(), *self._resources(), *await self._kept()]
        found += [*self._credentials(), *await self._leftovers()]
        host = self._feed.state.host
        return [*found, await self._guard.finding()] if host and host.engine else found

    def _log(self) -> Sequence[Finding]:
        """What the last look at the whole log has found."""
        try:
            lost = self._auditor.lost()
        except Error as e:
            return [Finding(severity=SEVERITY_ERROR, subject="log", message=e.message, hint=e.hint)]
        if lost:
            return [Finding(severity=SEVERITY_ERROR, subject="log", message=lost[0].message, hint=_SHORTER)]
        report = self._auditor.last
        if report is None:
            text = f"{self._feed.state.position} events; they are still being checked."
            return [Finding(severity=SEVERITY_OK, subject="log", message=text, hint=_CHECK)]
        if not report.damages:
            return [_whole(report, self._feed.state.position)]
        first, *others = report.damages
        text = f"Position {first.position}: {first.kind}: {first.message}"
        more = f" It is the first of {1 + len(others) + report.more}: see 'vibespace audit verify'." if others else ""
        return [Finding(severity=SEVERITY_ERROR, subject="log", message=text + more, hint=_RESTORE)]

    def _disk(self) -> Sequence[Finding]:
        if self._reserve.has_room():
            return []
        text = "It is full: nothing can be recorded but what makes room, such as a deletion."
        return [Finding(severity=SEVERITY_ERROR, subject="disk", message=text, hint="Make room.")]

    async def _engine(self) -> Sequence[Finding]:
        host = self._feed.state.host
        if host is None or not host.engine:
            return [_engine(SEVERITY_ERROR, "No engine has been chosen.", "Run 'vibespace init'.")]
        if not self._feed.engine_seen or self.engine is None:
            message = f"{host.engine['brand']} does not answer: {host.reason or 'it has not been seen yet'}"
            return [_engine(SEVERITY_ERROR, message, f"See that it serves {host.engine['address']}.")]
        try:
            identity = await self.engine.identity()
        except Error as e:
            return [_engine(SEVERITY_ERROR, e.message, e.hint)]
        kind = "rootless " if identity.rootless else ""
        text = f"{kind}{identity.brand} {identity.version} answers at {identity.address}."
        return [_engine(SEVERITY_OK, text), *_limits(identity)]

    def _resources(self) -> Sequence[Finding]:
        state = self._feed.state
        if state.host is None or not self._feed.engine_seen:
            return []
        findings = []
        for name, found in sorted(state.vibespaces.items()):
            condition, reason = states.vibespace_state(found, list(state.agents(name)), state.host)
            if condition == State.FAILED:
                hint = f"Mend the cause, then 'vibespace start {name}'."
                findings.append(
                    Finding(severity=SEVERITY_ERROR, subject=found.subject, message=f"It failed: {reason}", hint=hint)
                )
        return findings

    async def _kept(self) -> Sequence[Finding]:
        kept = self._feed.state.kept
        sizes = await self._disk_of(kept.values())
        return [
            Finding(
                severity=SEVERITY_OK,
                subject=f"data of {name}",
                message=f"Kept by 'delete --keep-data'{f', {amounts.size(sizes[uid])}' if uid in sizes else ''}.",
                hint=f"'vibespace create {name} --reuse-data -t TYPE' takes it over; then 'delete' discards it.",
            )
            for name, uid in sorted(kept.items())
        ]

    async def _leftovers(self) -> Sequence[Finding]:
        if self.engine is None or not isinstance(self.engine, Inventory):
            return []
        state = self._feed.state
        known = {str(uid) for uid in state.aggregates} | {found.data_uid for found in state.vibespaces.values()}
        try:
            leftovers = await self.engine.leftovers(frozenset(known | set(state.kept.values())))
        except Error:
            return []  # that the engine does not answer is a finding of its own
        return [
            Finding(
                severity=SEVERITY_WARNING,
                subject=f"{left.kind} {left.name}",
                message=f"It was made for {_whom(left.vibespace)}, and nothing that exists accounts for it.",
                hint="It is never deleted unasked; remove it with the engine's own means if nobody needs it.",
            )
            for left in leftovers
        ]


def _whom(vibespace: str) -> str:
    return f"vibespace '{vibespace}' of this state directory" if vibespace else "this state directory"


def _whole(report: Report, position: int) -> Finding:
    """No damage was found in what had been written when it was looked for."""
    since = position - report.position
    which = f"{report.position} of {position} events"
    text = f"{which} checked at {report.ended:%Y-%m-%d %H:%M} UTC, each as it was written."
    return Finding(severity=SEVERITY_OK, subject="log", message=text, hint=_CHECK if since else "")


def _engine(severity: Severity.ValueType, message: str, hint: str = "") -> Finding:
    return Finding(severity=severity, subject="engine", message=message, hint=hint)


def _limits(identity: Identity) -> Sequence[Finding]:
    if not identity.unenforced_limits:
        return []
    message = f"It takes limits of {', '.join(identity.unenforced_limits)}, and cannot hold containers to them."
    if identity.brand == KUBERNETES:
        return [_engine(SEVERITY_WARNING, message, "'podPidsLimit' of its kubelets does that, for all pods alike.")]
    return [_engine(SEVERITY_WARNING, message, _DELEGATION if identity.rootless else "See what its 'info' warns of.")]


_DELEGATION = (
    "A user's engine needs control groups of version 2, delegated to him: 'systemd.unified_cgroup_hierarchy=1' for the "
    "kernel, and 'Delegate=cpu memory pids' for user@.service. Then log in again, and 'vibespace init'."
)
