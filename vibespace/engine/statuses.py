"""The statuses of all agents, of which only those are worked out again whose objects have changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibespace.engine import bodies, egress, manifests, pods
from vibespace.engine.base import Condition, Status

Object = Mapping[str, Any]


class Statuses:
    """Called with all there is, whenever some of it has changed or time has passed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[str, ...], Status | None]] = {}
        """By agent, with the versions of the objects that it is of."""
        self._ran: dict[str, tuple[str, int | None]] = {}
        """By agent whose container was seen to run, and not to end, what was asked for then: spec and generation."""
        self._closed: Sequence[str] = ()
        """What was closed then."""

    def __call__(
        self,
        deployments: Iterable[Object],
        found: Iterable[Object],
        networks: Mapping[str, Object],
        services: Mapping[str, Object],
        closed: Sequence[str] = (),
        reasons: Mapping[str, str] | None = None,
    ) -> Sequence[Status]:
        """By uid; who has neither Deployment nor pod is not in it. `networks` and `services` are by name; `closed` is
        what no agent is to reach; `reasons` are what the cluster's events say, by uid.
        """
        if closed != self._closed:
            self._known, self._closed = {}, closed
        wanted = {uid: each for each in deployments if (uid := pods.agent_uid(each))}
        theirs: dict[str, list[Object]] = {uid: [] for uid in wanted}
        for pod in filter(pods.agent_uid, found):
            theirs.setdefault(pods.agent_uid(pod), []).append(pod)
        now = time.time()
        known = {}
        for uid, there in theirs.items():
            name = _network((wanted[uid] if uid in wanted else there[0])["metadata"]["labels"])
            known[uid] = self._status(
                uid, wanted.get(uid), there, (networks.get(name), services.get(name)), now, (reasons or {}).get(uid, "")
            )
        self._known = known
        self._ran = {uid: spec for uid, spec in self._ran.items() if uid in known}
        return tuple(status for _, (_, status) in sorted(self._known.items()) if status)

    def _status(
        self,
        uid: str,
        deployment: Object | None,
        there: Sequence[Object],
        beside: tuple[Object | None, Object | None],
        now: float,
        reason: str,
    ) -> tuple[tuple[str, ...], Status | None]:
        versions = tuple(map(_version, (deployment, *beside, *there)))
        known, status = self._known.get(uid, ((), None))
        # Why it does not run may also be a matter of time.
        passes = status is not None and (status.condition is Condition.STARTING or self._has_ended(uid, status))
        if versions == known and not passes:
            return known, status
        status = pods.status(deployment, there, now)
        if status:
            status = _explained(status, reason)
        status = self._with_its_end(uid, status, deployment, there)
        if status and status.condition is Condition.RUNNING:
            why = pods.meddled(*beside)
            if why or not self._is_of_now(beside[0]):  # the second is nobody's doing
                status = replace(status, reason=why, spec_hash="")  # so that it is applied again
        return versions, status

    def _has_ended(self, uid: str, status: Status) -> bool:
        """Whether that is what was told of one whom the cluster replaces by itself."""
        return status.condition is Condition.STOPPED and uid in self._ran

    def _with_its_end(
        self, uid: str, status: Status | None, deployment: Object | None, there: Sequence[Object]
    ) -> Status | None:
        """One that ran, and that the cluster replaces by itself, has ended until the next one runs, or says why it does
        not: else nobody would hear of it.
        """
        if status is None or status.condition is Condition.STOPPED:
            self._ran.pop(uid, None)
            return status
        asked = (status.spec_hash, deployment["metadata"].get("generation") if deployment else None)
        if status.started:
            self._ran[uid] = asked
        elif self._ran.get(uid) == asked and not status.reason:
            before = self._known.get(uid, ((), None))[1]
            told = before.reason if before and self._has_ended(uid, before) else pods.replaced(there)
            return replace(status, condition=Condition.STOPPED, reason=told)
        return status

    def _is_of_now(self, network: Object | None) -> bool:
        rules = (network or {}).get("spec", {}).get("egress") or ()
        return egress.is_of_now(rules, self._closed)


def _explained(status: Status, reason: str) -> Status:
    """With that reason, where it does not come up, or was ended, and says none."""
    unsaid = "" if status.condition is Condition.STARTING else pods.UNSAID
    return replace(status, reason=reason) if reason and status.reason == unsaid else status


def _network(labels: Mapping[str, str]) -> str:
    return manifests.network_name(labels.get(bodies.VIBESPACE_UID, ""))


def _version(found: Object | None) -> str:
    meta = found["metadata"] if found else {}
    return f"{meta.get('uid')}@{meta.get('resourceVersion')}"
