"""What is ours in one namespace of a cluster: found, listed, set, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vibespace.engine import bodies, manifests, pods
from vibespace.engine.base import Leftover
from vibespace.engine.homes import volume_names
from vibespace.engine.informer import Informer, following, stirred
from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import Paths
from vibespace.errors import Aborted, FailedPrecondition, NotFound

GONE_SECONDS = 120.0
"""How long the cluster may take to end a pod that was told to go."""


class OwnObjects:
    """Of one log: its label tells them from others'."""

    def __init__(self, api: Api, log_id: str, at: Paths) -> None:
        self._api = api
        self._log_id = log_id
        self.manager = f"{manifests.MANAGER}-{log_id}"  # another log's is another one: its objects are none of ours
        self._at = at

    async def find(self, path: str) -> dict[str, Any] | None:
        """What is there. Raises when it is there and is not ours."""
        try:
            found: dict[str, Any] = await self._api.get(path)
        except NotFound:
            return None
        if (found["metadata"].get("labels") or {}).get(bodies.LOG) != self._log_id:
            name = found["metadata"]["name"]
            raise FailedPrecondition(
                "ENGINE_NAME_TAKEN",
                f"The cluster has a '{name}' that another installation made; it is left alone.",
                hint="Remove or rename it by hand, then 'vibespace start' tries again.",
                object=name,
            )
        return found

    async def list(self, path: str, *selectors: str) -> Sequence[dict[str, Any]]:
        """Those of that path that have the labels."""
        found: Sequence[dict[str, Any]] = (await self._api.list(path, labelSelector=self._labels(*selectors)))["items"]
        return found

    async def set(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply. Where somebody else has set a field of ours it is put back, unless the object is not ours."""
        name = body["metadata"]["name"]
        try:
            return await self._api.apply(f"{path}/{name}", body, self.manager)
        except Aborted as e:
            if e.reason != "ENGINE_CONFLICT":
                raise
            await self.find(f"{path}/{name}")
            return await self._api.apply(f"{path}/{name}", body, self.manager, force=True)

    async def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `set`, and of what it asks for nothing is anybody else's any more: what somebody has added goes."""
        found = await self.set(path, body)
        if not pods.edited(found):
            return found
        left = [each for each in found["metadata"]["managedFields"] if not pods.is_of_spec(each) or self._applied(each)]
        whole = {**body, "metadata": {**body["metadata"], "managedFields": left}}
        return await self._api.replace(f"{path}/{body['metadata']['name']}", whole, self.manager)

    def _applied(self, entry: Mapping[str, Any]) -> bool:
        """Whether that entry of the cluster's books is of what we have applied."""
        return (entry.get("manager"), entry.get("operation")) == (self.manager, "Apply")

    async def until_none(self, path: str, selector: str, gone: Callable[[Mapping[str, Any]], bool]) -> None:
        """Return when `gone` says so of those that are there, by name."""
        changed = asyncio.Event()
        informer = Informer(self._api, path, self._labels(selector), changed.set)
        try:
            async with asyncio.timeout(GONE_SECONDS), following(informer) as tasks:
                while True:
                    await stirred(changed, tasks)
                    if informer.synced.is_set() and gone(informer.objects):
                        return
        except TimeoutError as e:
            text = f"The cluster has not ended it within {GONE_SECONDS:.0f} s; its node may be away."
            raise Aborted("ENGINE_REFUSED", text) from e

    def _labels(self, *selectors: str) -> str:
        return ",".join(filter(None, (f"{bodies.LOG}={self._log_id}", *selectors)))

    async def leftovers(self, known_uids: frozenset[str]) -> Sequence[Leftover]:
        """As Inventory.leftovers."""
        paths = {
            self._at.deployments: "container",
            self._at.secrets: "container",
            self._at.networks: "network",
            self._at.services: "network",
            self._at.claims: "volume",
        }
        listed = await asyncio.gather(*map(self.list, paths))
        found = [(kind, each) for kind, items in zip(paths.values(), listed, strict=True) for each in items]
        everything = {
            (left.kind, left.name): left
            for kind, each in found
            if manifests.ERRAND not in each["metadata"]["labels"]
            for left in _leftovers(kind, each)
            if left.owner_uid not in known_uids
        }
        return list(everything.values())


def _leftovers(kind: str, found: Mapping[str, Any]) -> Sequence[Leftover]:
    """One, and of a claim also one for each home in it: they are volumes to whoever asks."""
    name, own = found["metadata"]["name"], found["metadata"]["labels"]
    names = volume_names(found) if kind == "volume" else (name,)
    return [Leftover(kind, each, own.get(bodies.OWNER, ""), own.get(bodies.VIBESPACE, "")) for each in names]


async def together(jobs: Iterable[Any]) -> None:
    """All of them, then the first failure: none is left running behind the caller's back."""
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
