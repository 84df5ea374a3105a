"""Directories of the one node that is this machine, as agents are shown them: a volume and a claim each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from vibespace.engine import bodies, manifests
from vibespace.engine.base import AgentSpec
from vibespace.engine.cluster import Cluster
from vibespace.engine.kubeapi import Api
from vibespace.engine.objects import OwnObjects
from vibespace.engine.paths import VOLUMES, Paths
from vibespace.errors import Aborted, FailedPrecondition

BIND_SECONDS = 30.0
"""How long it may take to see that a directory of its node is there."""


class Mounts:
    """Of all agents."""

    def __init__(self, api: Api, objects: OwnObjects, log_id: str, cluster: Cluster) -> None:
        self._api = api
        self._ours = objects
        self._at = Paths(cluster.namespace)
        self._log_id = log_id
        self._cluster = cluster

    async def show(self, spec: AgentSpec) -> None:
        """The directories of the node that it is shown, and none that it was shown before."""
        if not self._cluster.node:
            if spec.mounts:
                raise FailedPrecondition(
                    "MOUNT_REFUSED",
                    "A cluster's nodes have no directories that could be shown to agents.",
                    hint="Leave -m out; 'vibespace cp' copies files in, and --repo brings a repository.",
                )
            return
        names = {manifests.mount_name(spec, number) for number in range(len(spec.mounts))}
        for number in range(len(spec.mounts)):
            volume, claim = manifests.shown(self._log_id, spec, number, self._cluster)
            await self._ours.set(VOLUMES, volume)
            await self._ours.set(self._at.claims, claim)
            await self._bind(f"{self._at.claims}/{claim['metadata']['name']}")
        await self.unshow(spec.agent_uid, but=names)

    async def _bind(self, path: str) -> None:
        """Return when a claim has its volume. A pod that comes before is not looked at again for seconds, nor is a
        claim whose volume had only just come, unless something about it changes.
        """
        found, until = await self._api.get(path), time.monotonic() + BIND_SECONDS
        while found["status"].get("phase") != "Bound":
            if time.monotonic() > until:
                raise Aborted("ENGINE_REFUSED", f"The cluster does not give {path.rpartition('/')[2]} its volume.")
            await asyncio.sleep(0.2)
            nudge = {"metadata": {"annotations": {"vibespace.nudged": str(time.time())}}}
            found = await self._api.merge(path, nudge, manifests.HOMES_MANAGER)

    async def unshow(self, agent_uid: str, but: Collection[str] = ()) -> None:
        if not self._cluster.node:
            return
        owned = f"{bodies.OWNER}={agent_uid},{manifests.ERRAND}=mount"
        for each in await self._ours.list(self._at.claims, owned):
            name = each["metadata"]["name"]
            if name not in but:
                await self._api.delete(f"{self._at.claims}/{name}")
                await self._api.delete(f"{VOLUMES}/{name}")
