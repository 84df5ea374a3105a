"""Short work inside the cluster: a pod that runs a script, whose last words are read, and that is gone again.

For what no pod of an agent could do: look at a volume when nobody runs, or at an image that nobody runs yet.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from vibespace.engine import bodies, manifests, pods
from vibespace.engine.cluster import Cluster
from vibespace.engine.informer import Informer, following, stirred
from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import Paths
from vibespace.errors import Aborted, FailedPrecondition, ended

SECONDS = 120.0
"""What one may take, its start and the pulling of its image included."""


AT_ONCE = 8
"""How many: each is a pod."""

INIT = "init"
"""What those of `init` are called."""


class Errands:
    """Runs them."""

    def __init__(self, api: Api, log_id: str, cluster: Cluster) -> None:
        self._api = api
        self._log_id = log_id
        self._cluster = cluster
        self._run = secrets.token_hex(6)
        """What tells ours from those of a daemon before this one."""
        self._room = asyncio.Semaphore(AT_ONCE)
        self._pods = Paths(cluster.namespace).pods

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
        async with self._room:
            try:
                async with asyncio.timeout(seconds):
                    await self._api.create(self._pods, body)
                    pod = await self._awaited(name, image, _ended)
                    told = await self._told(name)
            except TimeoutError as e:
                raise _late(word, seconds) from e
            finally:  # also of one that was made, and nobody heard that it was
                await self._api.delete(f"{self._pods}/{name}", {"gracePeriodSeconds": 0})
        if pod["status"]["phase"] != "Succeeded":
            raise _failed(word, told)
        return told

    @asynccontextmanager
    async def serving(self, word: str, script: str, image: str, *, seconds: float = SECONDS) -> AsyncIterator[str]:
        """The address of a pod that runs `script` meanwhile. Raises as `run`."""
        name = f"vs-{word}-{secrets.token_hex(6)}"
        body = manifests.errand(self._log_id, word, self._run, name, script, image, "", self._cluster)
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._api.create(self._pods, body)
                    pod = await self._awaited(name, image, lambda found: bool(pods.address(found)) or _ended(found))
            except TimeoutError as e:
                raise _late(word, seconds) from e
            if _ended(pod):
                raise _failed(word, await self._told(name))
            yield pods.address(pod)
        finally:
            await self._api.delete(f"{self._pods}/{name}", {"gracePeriodSeconds": 0})

    def labels(self, word: str) -> Mapping[str, str]:
        """By which the pods that are called so are found, and no others: not those of another program."""
        return {bodies.LOG: self._log_id, manifests.ERRAND: word, manifests.RUN: self._run}

    async def clear(self, word: str = "") -> None:
        """Away with those of a program that was killed: nobody waits for them, and they hold volumes that are to go.
        With `word` those that are called so, else all but those of `init`, which may just be at work.
        """
        errand = f"{manifests.ERRAND}={word}" if word else f"{manifests.ERRAND},{manifests.ERRAND}!={INIT}"
        selector = f"{bodies.LOG}={self._log_id},{errand},{manifests.RUN}!={self._run}"
        for left in (await self._api.list(self._pods, labelSelector=selector))["items"]:
            await self._api.delete(f"{self._pods}/{left['metadata']['name']}", {"gracePeriodSeconds": 0})

    async def _awaited(self, name: str, image: str, wanted: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """The pod, once it is as it is wanted."""
        changed = asyncio.Event()
        informer = Informer(self._api, self._pods, manifests.ERRAND, changed.set, fieldSelector=f"metadata.name={name}")
        async with following(informer) as tasks:
            while True:
                await stirred(changed, tasks)
                if not informer.synced.is_set():
                    continue
                pod = informer.objects.get(name)
                if pod is None:
                    raise Aborted("ENGINE_REFUSED", f"Somebody has deleted {name}.")
                if wanted(pod):
                    return pod
                if why := pods.no_image(pod):
                    raise no_image(image, why)
                if why := pods.obstacle(pod, time.time()):
                    raise Aborted("ENGINE_REFUSED", ended(f"'{name}' waits: {why}"))

    async def _told(self, name: str) -> str:
        async with aclosing(self._api.content(f"{self._pods}/{name}/log")) as pieces:
            return b"".join([piece async for piece in pieces]).decode(errors="replace")


def _ended(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _late(word: str, seconds: float) -> Aborted:
    return Aborted("ENGINE_REFUSED", f"The cluster did not run '{word}' within {seconds:.0f} s.")


def _failed(word: str, told: str) -> Aborted:
    return Aborted("ENGINE_REFUSED", f"'{word}' failed in the cluster: {told[-300:].strip()}")


def no_image(image: str, why: str) -> FailedPrecondition:
    """There is no such image, or none that the cluster can get."""
    return FailedPrecondition(
        "IMAGE_NOT_FOUND",
        f"The cluster has no image {pods.short(image)}: {' '.join(why.split())[:300]}",
        hint="See that its registry answers there, where it asks who that is by 'init --pull-secret'; "
        "'vibespace image build --push REF' puts the agents' own into one.",
        image=image,
    )
