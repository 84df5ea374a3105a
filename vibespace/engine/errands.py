"""Short work inside the cluster: a pod that runs a script, whose last words are read, and that is gone again.

For what no pod of an agent could do: look at a volume when nobody runs, or at an image that nobody runs yet.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import aclosing

from vibespace.engine import bodies, manifests, pods
from vibespace.engine.cluster import Cluster
from vibespace.engine.informer import Informer
from vibespace.engine.kubeapi import Api
from vibespace.errors import Aborted, FailedPrecondition, ended

SECONDS = 120.0
"""What one may take, its start and the pulling of its image included."""


class Errands:
    """Runs them."""

    def __init__(self, api: Api, log_id: str, cluster: Cluster) -> None:
        self._api = api
        self._log_id = log_id
        self._cluster = cluster
        self._run = secrets.token_hex(6)
        """What tells ours from those of a daemon before this one."""
        self._pods = f"/api/v1/namespaces/{cluster.namespace}/pods"

    async def run(
        self,
        word: str,
        script: str,
        image: str,
        data_uid: str = "",
        *,
        seconds: float = SECONDS,
        as_root: bool = False,
    ) -> str:
        """What `script` wrote, which must end well. It has the volume of `data_uid` at /data.

        Raises FailedPrecondition IMAGE_NOT_FOUND; Aborted ENGINE_REFUSED where it cannot be run, or failed.
        """
        name = f"vs-{word}-{secrets.token_hex(6)}"
        body = manifests.errand(
            self._log_id, word, self._run, name, script, image, data_uid, self._cluster, as_root=as_root
        )
        await self._api.create(self._pods, body)
        try:
            async with asyncio.timeout(seconds):
                well = await self._ended(name, image)
                told = await self._told(name)
        except TimeoutError as e:
            raise Aborted("ENGINE_REFUSED", f"The cluster did not run '{word}' within {seconds:.0f} s.") from e
        finally:
            await self._api.delete(f"{self._pods}/{name}", {"gracePeriodSeconds": 0})
        if not well:
            raise Aborted("ENGINE_REFUSED", f"'{word}' failed in the cluster: {told[-300:].strip()}")
        return told

    async def clear(self, word: str = "") -> None:
        """Away with those of a program that was killed: nobody waits for them, and they hold volumes that are to go.
        With `word` only those that are called so.
        """
        errand = f"{manifests.ERRAND}={word}" if word else manifests.ERRAND
        selector = f"{bodies.LOG}={self._log_id},{errand},{manifests.RUN}!={self._run}"
        for left in (await self._api.list(self._pods, labelSelector=selector))["items"]:
            await self._api.delete(f"{self._pods}/{left['metadata']['name']}", {"gracePeriodSeconds": 0})

    async def _ended(self, name: str, image: str) -> bool:
        """Whether it ended well."""
        stirred = asyncio.Event()
        informer = Informer(self._api, self._pods, manifests.ERRAND, stirred.set)
        following = asyncio.create_task(informer.run())
        try:
            while True:
                stirred.clear()
                pod = informer.objects.get(name)
                phase = pod["status"].get("phase") if pod else ""
                if phase in ("Succeeded", "Failed"):
                    return phase == "Succeeded"
                if pod and (why := pods.no_image(pod)):
                    raise no_image(image, why)
                if pod and (why := pods.obstacle(pod, time.time())):
                    raise Aborted("ENGINE_REFUSED", ended(f"'{pod['metadata']['name']}' waits: {why}"))
                if informer.synced.is_set() and pod is None:
                    raise Aborted("ENGINE_REFUSED", f"Somebody has deleted {name}.")
                waiting = asyncio.create_task(stirred.wait())
                await asyncio.wait((waiting, following), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if following.done():
                    following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _told(self, name: str) -> str:
        async with aclosing(self._api.content(f"{self._pods}/{name}/log")) as pieces:
            return b"".join([piece async for piece in pieces]).decode(errors="replace")


def no_image(image: str, why: str) -> FailedPrecondition:
    """There is no such image, or none that the cluster can get."""
    return FailedPrecondition(
        "IMAGE_NOT_FOUND",
        f"The cluster has no image {image}: {' '.join(why.split())[:300]}",
        hint="See that its registry answers there; 'vibespace image build --push REF' puts the agents' own into one.",
        image=image,
    )
