"""Why pods do not come up, or were ended, where only the cluster's events say so: a volume that is not mounted, say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from vibespace.engine import pods
from vibespace.engine.kubeapi import Api
from vibespace.errors import PermissionDenied

Object = Mapping[str, Any]

AGAIN_SECONDS = 30.0
"""How long what was said of a pod is believed."""
AT_ONCE = 8
"""Pods that are asked about at a time: what keeps one from coming up keeps many."""

_ENDS = ("Evicted", "Preempting")
"""Reasons of events for which kubelets end pods."""


class Warnings:
    """Of the pods of one namespace."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path
        self._known: dict[str, tuple[float, str]] = {}
        """By uid of the pod, when it was asked about, and what was said."""

    async def about(self, found: Iterable[Object]) -> Mapping[str, str]:
        """The last warning about each that has been coming up for long, or was ended without a reason, by agent.

        Raises what Api does.
        """
        now = time.time()
        counting = pods.counting(found).values()
        asked = {
            str(pod["metadata"]["uid"]): pod for pod in counting if pods.is_stuck(pod, now) or pods.is_over_unsaid(pod)
        }
        self._known = {uid: known for uid, known in self._known.items() if uid in asked}
        due = [uid for uid in asked if time.monotonic() - self._known.get(uid, (float("-inf"),))[0] >= AGAIN_SECONDS]
        for uid in due[:AT_ONCE]:
            self._known[uid] = (time.monotonic(), await self._said(asked[uid]))
        return {pods.agent_uid(asked[uid]): said for uid, (_, said) in self._known.items() if said}

    async def _said(self, pod: Object) -> str:
        selector = f"involvedObject.uid={pod['metadata']['uid']},type=Warning"
        told: list[Object] = []
        with suppress(PermissionDenied):  # it is no reason to see nothing of what is there
            told = (await self._api.list(self._path, fieldSelector=selector))["items"]
        over = pods.is_over(pod)
        last: Object = max((each for each in told if not over or each.get("reason") in _ENDS), key=_when, default={})
        message = str(last.get("message", ""))
        return pods.ended_for(last["reason"], message) if over and last else pods.clause(message)


def _when(event: Object) -> str:
    """RFC 3339, always of UTC: they are in order as text."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
