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
        self._ran: dict[str, str] = {}
        """By agent whose container was seen to run, and not to end, the spec that it was of."""
        self._closed: Sequence[str] = ()
        """What was closed then."""

    def __call__(
        self,
        deployments: Iterable[Object],
        found: Iterable[Object],
        networks: Mapping[str, Object],
        services: Mapping[str, Object],
        closed: Sequence[str] = (),
    ) -> Sequence[Status]:
        """By uid; who has neither Deployment nor pod is not in it. `networks` and `services` are by name; `closed` is
        what no agent is to reach.
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
            known[uid] = self._status(uid, wanted.get(uid), there, (networks.get(name), services.get(name)), now)
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
    ) -> tuple[tuple[str, ...], Status | None]:
        versions = tuple(map(_version, (deployment, *beside, *there)))
        known, status = self._known.get(uid, ((), None))
        ends = status is not None and status.condition is Condition.STOPPED and uid in self._ran
        passes = status is not None and (status.condition is Condition.STARTING or ends)  # why is also a matter of time
        if versions == known and not passes:
            return known, status
        status = self._with_its_end(uid, pods.status(deployment, there, now), there)
        if status and status.condition is Condition.RUNNING:
            why = pods.meddled(*beside)
            if why or not self._is_of_now(beside[0]):  # the second is nobody's doing
                status = replace(status, reason=why, spec_hash="")  # so that it is applied again
        return versions, status

    def _with_its_end(self, uid: str, status: Status | None, there: Sequence[Object]) -> Status | None:
        """One that ran, and that the cluster replaces by itself, has ended until the next one runs, or says why it does
        not: else nobody would hear of it.
        """
        if status is None or status.condition is Condition.STOPPED:
            self._ran.pop(uid, None)
        elif status.started:
            self._ran[uid] = status.spec_hash
        elif self._ran.get(uid) == status.spec_hash and not status.reason:
            return replace(status, condition=Condition.STOPPED, reason=pods.replaced(there))
        return status

    def _is_of_now(self, network: Object | None) -> bool:
        rules = (network or {}).get("spec", {}).get("egress") or ()
        return egress.is_of_now(rules, self._closed)


def explained(statuses: Sequence[Status], reasons: Mapping[str, str]) -> Sequence[Status]:
    """With those, by uid, for who does not come up, or was ended, and says no reason."""
    return tuple(
        replace(each, reason=reasons[each.agent_uid]) if each.agent_uid in reasons and _says_nothing(each) else each
        for each in statuses
    )


def _says_nothing(status: Status) -> bool:
    return status.reason == ("" if status.condition is Condition.STARTING else pods.UNSAID)


def _network(labels: Mapping[str, str]) -> str:
    return manifests.network_name(labels.get(bodies.VIBESPACE_UID, ""))


def _version(found: Object | None) -> str:
    meta = found["metadata"] if found else {}
    return f"{meta.get('uid')}@{meta.get('resourceVersion')}"
