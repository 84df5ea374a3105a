"""The storage of vibespaces on a cluster: a claim each, with a folder for each home in it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vibespace.engine import bodies, manifests, podusage
from vibespace.engine.base import AgentSpec
from vibespace.engine.cluster import Cluster
from vibespace.engine.errands import AT_ONCE, Errands
from vibespace.engine.homes import NOTE, homes
from vibespace.engine.kubeapi import Api
from vibespace.engine.objects import OwnObjects
from vibespace.engine.paths import Paths
from vibespace.errors import Aborted, PermissionDenied

Object = Mapping[str, Any]


class Claims:
    """Of all vibespaces."""

    def __init__(self, api: Api, objects: OwnObjects, errands: Errands, log_id: str, cluster: Cluster) -> None:
        self._api = api
        self._ours = objects
        self._at = Paths(cluster.namespace)
        self._errands = errands
        self._log_id = log_id
        self._cluster = cluster
        self._room = asyncio.Semaphore(AT_ONCE)

    async def find(self, data_uid: str) -> Object | None:
        """None where there is none. Raises FailedPrecondition where it is not ours."""
        return await self._ours.find(self._path(data_uid))

    async def make(self, spec: AgentSpec) -> None:
        """The claim, and the note that this agent has a home in it."""
        wanted, path = manifests.claim(self._log_id, spec, self._cluster), self._path(spec.data_uid)
        try:
            found: Object = await self._ours.set(self._at.claims, wanted)
        except (Aborted, PermissionDenied) as e:
            is_fixed = e.metadata.get("status") == "422" or "resize" in e.message
            there = await self._ours.find(path) if is_fixed else None
            if there is None:
                raise
            found = there  # of another size or class than a new one would be, which cannot be changed
        if spec.agent not in homes(found):
            await self._note(path, spec.agent, spec.agent_uid)

    async def remove(self, claim: Object) -> None:
        """With all that is in it; return when it is gone."""
        path, name = self._at.claims, claim["metadata"]["name"]
        await self._api.delete(f"{path}/{name}")
        await self._ours.until_none(path, "", lambda found: name not in found)

    async def remove_home(self, data_uid: str, agent: str) -> None:
        """The folder, then the note that it is there: killed between the two, the next one finds the note."""
        claim = await self.find(data_uid)
        if not claim or agent not in homes(claim):
            return
        if _is_bound(claim):
            home = f"/data/{manifests.HOMES}/{agent}"
            script = f"chmod -fR u+rwX {home}; rm -rf {home}"  # Go keeps what it has fetched where nobody may write
            try:
                await self._errands.run("removal", script, _image(claim), data_uid)
            except Aborted as e:
                if "Permission denied" not in e.message and "not permitted" not in e.message:
                    raise
                await self._errands.run("removal", script, _image(claim), data_uid, as_root=True)
        await self._note(self._path(data_uid), agent, None)

    async def sizes(self, data_uids: Collection[str], running: Mapping[str, Mapping[str, str]]) -> Mapping[str, int]:
        """Bytes that are used, of each volume as a whole, but for the store of logins where all its agents run.

        `running` is by uid where each agent's pod is, by name.
        """
        found = {each["metadata"]["labels"].get(bodies.OWNER): each for each in await self._ours.list(self._at.claims)}
        asked = {uid: claim for uid, claim in found.items() if uid in data_uids and _image(claim)}
        sizes = await asyncio.gather(*(self._size(uid, claim, running.get(uid, {})) for uid, claim in asked.items()))
        return {uid: size for uid, size in zip(asked, sizes, strict=True) if size is not None}

    async def _size(self, data_uid: str, claim: Object, pods: Mapping[str, str]) -> int | None:
        if not _is_bound(claim):
            return 0  # nothing is in one that was never used
        if pods and {*homes(claim)} <= pods.keys():
            told = await asyncio.gather(
                *(
                    self._stored(pod, ("/home/agent",) if number else ("/home/agent", "/vibespace"))
                    for number, pod in enumerate(pods.values())
                )
            )
            if None not in told:
                return sum(filter(None, told))
        script = "du -s --block-size=1 /data 2>/dev/null | cut -f 1"  # what an agent has closed is not measured
        said = await self._errands.run("measuring", script, _image(claim), data_uid)
        return int(said) if said.strip().isdecimal() else None

    async def _stored(self, pod: str, directories: Sequence[str]) -> int | None:
        async with self._room:
            return await podusage.stored(self._api, pod, directories)

    async def _note(self, path: str, agent: str, uid: str | None) -> None:
        noted = {"metadata": {"annotations": {f"{NOTE}{agent}": uid}}}
        await self._api.merge(path, noted, manifests.HOMES_MANAGER)

    def _path(self, data_uid: str) -> str:
        return f"{self._at.claims}/{manifests.claim_name(data_uid)}"


def _is_bound(claim: Object) -> bool:
    return bool(claim["status"].get("phase") == "Bound")


def _image(claim: Object) -> str:
    """One that errands with this volume can run in."""
    return str((claim["metadata"].get("annotations") or {}).get(manifests.IMAGE, ""))
