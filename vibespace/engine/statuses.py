"""The statuses of all agents, of which only those are worked out again whose objects have changed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vibespace.engine import pods
from vibespace.engine.base import Condition, Status

Object = Mapping[str, Any]


class Statuses:
    """Called with all there is, whenever some of it has changed or time has passed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[str, ...], Status | None]] = {}
        """By agent, with the versions of the objects that it is of."""

    def __call__(self, deployments: Iterable[Object], found: Iterable[Object]) -> Sequence[Status]:
        """By uid; who has neither Deployment nor pod is not in it."""
        wanted = {pods.agent_uid(each): each for each in deployments}
        theirs: dict[str, list[Object]] = {uid: [] for uid in wanted}
        for pod in found:
            theirs.setdefault(pods.agent_uid(pod), []).append(pod)
        now = time.time()
        self._known = {uid: self._status(uid, wanted.get(uid), there, now) for uid, there in theirs.items()}
        return tuple(status for _, (_, status) in sorted(self._known.items()) if status)

    def _status(
        self, uid: str, deployment: Object | None, there: Sequence[Object], now: float
    ) -> tuple[tuple[str, ...], Status | None]:
        versions = tuple(_version(each) for each in ((deployment,) if deployment else ()) + tuple(there))
        known, status = self._known.get(uid, ((), None))
        passes = status is not None and status.condition is Condition.STARTING  # its reason is also one of time
        if versions == known and not passes:
            return known, status
        return versions, pods.status(deployment, there, now)


def _version(found: Object) -> str:
    meta = found["metadata"]
    return f"{meta.get('uid')}@{meta.get('resourceVersion')}"
