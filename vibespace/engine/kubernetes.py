"""Agents on a cluster: a Deployment each, made, changed and taken away by server-side apply of pure manifests."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from vibespace.engine import bodies, errands, manifests, podlogs, podlook, pods, podusage, renewal, sshport
from vibespace.engine.base import (
    SSHD_PORT,
    AgentSpec,
    Identity,
    Leftover,
    Snapshot,
    Target,
    Usage,
    Written,
    spec_hash,
)
from vibespace.engine.cluster import identify, read
from vibespace.engine.errands import Errands
from vibespace.engine.informer import Informer
from vibespace.engine.kubeapi import Api
from vibespace.engine.portforward import Forwards
from vibespace.engine.statuses import Statuses
from vibespace.errors import Aborted, FailedPrecondition, NotFound, Unavailable

START_SECONDS = 300.0
"""How long an apply waits for a container; then the watch tells of it, and it is waited for no more."""

GONE_SECONDS = 120.0
"""How long the cluster may take to end a pod that was told to go."""

BIND_SECONDS = 30.0
"""How long it may take to see that a directory of its node is there."""

DIAL_SECONDS = 15.0
"""How long an agent that runs may take until its sshd answers."""

DIRECT_SECONDS = 0.5
"""What a pod's own address gets to answer, before the way through the API server is taken."""

DETOUR_SECONDS = 60.0
"""How long the address is not tried again after it has not answered."""

_HOMES = f"{manifests.MANAGER}-homes"
_FIELDS = frozenset({"cpu_millis", "cpu_limit_millis", "memory_bytes", "memory_limit_bytes"})
_COUNTLESS = 1 << 20


class KubernetesEngine:
    """`engine.base.Engine`, `Inventory`, `Logs`, `Examiner`, `Meter` and `Locator` in one namespace of a cluster.

    It remembers nothing that the cluster does not know. The verbs may run side by side; those of one agent wait for
    each other.
    """

    def __init__(
        self, kubeconfig: Path, log_id: str, *, direct: bool = True, renew: Callable[[str], None] | None = None
    ) -> None:
        """`direct`: pods are tried at their own addresses.

        `renew` has the kubeconfig be what it is given, when our login there must be another; it may wait for the disk.
        """
        self._kubeconfig = kubeconfig
        self._renew = renew
        self._cluster = read(kubeconfig)
        self._api = Api(kubeconfig)
        self._log_id = log_id
        self._manager = f"{manifests.MANAGER}-{log_id}"  # another log's is another one: its objects are none of ours
        self._errands = Errands(self._api, log_id, self._cluster)
        self._forwards = Forwards(self._api)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._core = f"/api/v1/namespaces/{self._cluster.namespace}"
        self._deployments = f"/apis/apps/v1/namespaces/{self._cluster.namespace}/deployments"
        self._networks = f"/apis/networking.k8s.io/v1/namespaces/{self._cluster.namespace}/networkpolicies"
        self._direct_from = 0.0 if direct else float("inf")

    async def apply(self, spec: AgentSpec) -> None:
        async with self._one_at_a_time(spec.agent_uid):
            found = await self._deployment(spec.agent_uid)
            if not spec.running:
                await self._end(spec.agent_uid, found)
                return
            there = await self._pods(spec.agent_uid)
            if found and _says(found, spec) and self._runs(found, there):
                return
            await self._make(spec, found, there)
            await self._await_start(spec)

    async def delete(self, target: Target, *, keep_data: bool) -> None:
        if target.agent_uid:
            async with self._one_at_a_time(target.agent_uid):
                found = await self._deployment(target.agent_uid)
                await self._remove(target.agent_uid, found)
                if not keep_data:
                    await self._remove_home(target.data_uid, target.agent)
            return
        claim = await self._ours(f"{self._core}/persistentvolumeclaims/{manifests.claim_name(target.data_uid)}")
        await self._ours(f"{self._networks}/{manifests.network_name(target.vibespace_uid)}")
        deployments = await self._list(self._deployments, f"{bodies.VIBESPACE_UID}={target.vibespace_uid}")
        await _together(self._remove(pods.agent_uid(each), each) for each in deployments)
        name = manifests.network_name(target.vibespace_uid)
        await _together(
            (self._api.delete(f"{self._networks}/{name}"), self._api.delete(f"{self._core}/services/{name}"))
        )
        if claim and not keep_data:
            await self._remove_claim(claim)

    async def watch(self) -> AsyncIterator[Snapshot]:
        stirred = asyncio.Event()
        label = f"{bodies.LOG}={self._log_id}"
        deployments = Informer(self._api, self._deployments, label, stirred.set)
        found_pods = Informer(self._api, f"{self._core}/pods", f"{label},{bodies.AGENT_UID}", stirred.set)
        async with self._renewing(), _following(deployments, found_pods) as following:
            last, statuses = None, Statuses()
            while True:
                await _stirred(stirred, following, pods.PATIENCE)  # what has waited so long is told then
                if not (deployments.synced.is_set() and found_pods.synced.is_set()):
                    continue
                # Of a thousand that change at once not each is told by itself: looking through all takes as long.
                await asyncio.sleep(len(deployments.objects) * 1e-5)
                stirred.clear()
                begun = time.monotonic()
                snapshot = Snapshot(statuses(deployments.objects.values(), found_pods.objects.values()), begun)
                if snapshot != last:
                    yield snapshot
                    last = snapshot

    async def dial(self, agent_uid: str) -> socket.socket:
        pause = 0.02
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                while True:
                    pod = pods.current(await self._pods(agent_uid))
                    if not pod or not pods.run(pod) or not pods.address(pod):
                        raise _unreachable(agent_uid, "its container does not run")
                    try:
                        return await self._connect(pod)
                    except OSError:
                        await asyncio.sleep(pause)
                        pause = min(2 * pause, 0.5)
        except TimeoutError as e:
            raise _unreachable(agent_uid, f"its sshd did not answer within {DIAL_SECONDS:.0f} s") from e

    async def identity(self) -> Identity:
        return await identify(self._api, self._cluster)

    async def examine(self, image: str) -> Sequence[str]:
        return await podlook.look(self._errands, image)

    async def usage(self, agent_uids: Collection[str]) -> Mapping[str, Usage]:
        asked = set(agent_uids)
        running = {uid: pod for uid, pod in (await self._current()).items() if uid in asked and pods.run(pod)}
        used = await asyncio.gather(*(podusage.usage(self._api, self._path(pod)) for pod in running.values()))
        return {uid: found for uid, found in zip(running, used, strict=True) if found}

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        claims = await self._list(f"{self._core}/persistentvolumeclaims")
        wanted = {c["metadata"]["labels"][bodies.OWNER]: c for c in claims if manifests.IMAGE in _annotations(c)}
        wanted = {uid: claim for uid, claim in wanted.items() if uid in set(data_uids)}
        sizes = await asyncio.gather(*(self._disk(uid, claim) for uid, claim in wanted.items()))
        return dict(zip(wanted, sizes, strict=True))

    async def addresses(self, agent_uids: Collection[str]) -> Mapping[str, Sequence[str]]:
        found = await self._current()
        return {uid: told for uid in agent_uids if uid in found and (told := pods.addresses(found[uid]))}

    async def enforced(self) -> frozenset[str]:
        return _FIELDS

    async def processors(self) -> int:
        return _COUNTLESS  # of nodes we know nothing: one that is too large for all of them is told by the scheduler

    async def logs(self, agent_uid: str, *, follow: bool, since: float) -> AsyncIterator[Written]:
        pod = pods.current(await self._pods(agent_uid))
        if pod is None:
            raise podlogs.gone()
        ended = pods.restarted(pod)
        pieces = podlogs.read(self._api, self._path(pod), follow=follow, since=since, ended=ended)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def leftovers(self, known_uids: frozenset[str]) -> Sequence[Leftover]:
        paths = {
            self._deployments: "container",
            f"{self._core}/secrets": "container",
            self._networks: "network",
            f"{self._core}/services": "network",
            f"{self._core}/persistentvolumeclaims": "volume",
        }
        listed = await asyncio.gather(*map(self._list, paths))
        found = [(kind, each) for kind, items in zip(paths.values(), listed, strict=True) for each in items]
        everything = {
            (left.kind, left.name): left
            for kind, each in found
            if manifests.ERRAND not in each["metadata"]["labels"]
            for left in _leftovers(kind, each)
            if left.owner_uid not in known_uids
        }
        return list(everything.values())

    async def close(self) -> None:
        await self._forwards.close()
        await self._api.close()

    @asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        """As long as somebody watches, our login does not expire."""
        if self._renew is None:
            yield
            return
        keeping = asyncio.create_task(renewal.keep(self._api, self._kubeconfig, self._cluster, self._renew))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    # One agent

    def _one_at_a_time(self, agent_uid: str) -> asyncio.Lock:
        return self._locks.setdefault(agent_uid, asyncio.Lock())

    async def _deployment(self, agent_uid: str) -> dict[str, Any] | None:
        return await self._ours(f"{self._deployments}/{manifests.container_name(agent_uid)}")

    async def _pods(self, agent_uid: str) -> Sequence[Mapping[str, Any]]:
        return await self._list(f"{self._core}/pods", f"{bodies.AGENT_UID}={agent_uid}")

    async def _current(self) -> Mapping[str, Mapping[str, Any]]:
        """The pod that counts, by agent."""
        by_agent: dict[str, list[Mapping[str, Any]]] = {}
        for pod in await self._list(f"{self._core}/pods", bodies.AGENT_UID):
            by_agent.setdefault(pods.agent_uid(pod), []).append(pod)
        return {uid: counts for uid, found in by_agent.items() if (counts := pods.current(found))}

    def _runs(self, deployment: Mapping[str, Any], there: Sequence[Mapping[str, Any]]) -> bool:
        """Whether it is on its way, or there: what has ended waits to be started again, but not for us."""
        found = pods.status(deployment, there, time.time())
        if found is None or not deployment["spec"]["replicas"]:
            return False
        return found.condition in ("running", "starting") and not found.reason

    async def _make(self, spec: AgentSpec, found: Mapping[str, Any] | None, there: Sequence[Mapping[str, Any]]) -> None:
        core = self._core
        claim = manifests.claim(self._log_id, spec, self._cluster)
        network = manifests.network(self._log_id, spec, self._cluster)
        await _together(
            (
                self._make_claim(spec, claim),
                self._set(self._networks, network),
                self._set(f"{core}/services", manifests.service(self._log_id, spec)),
                self._set(f"{core}/secrets", manifests.secret(self._log_id, spec)),
                self._show(spec),
            )
        )
        wanted = manifests.deployment(self._log_id, spec, self._cluster)
        if found and pods.edited(found):  # also what was added, of which no field is ours
            await self._api.replace(f"{self._deployments}/{wanted['metadata']['name']}", wanted, self._manager)
        await self._set(self._deployments, wanted)
        for pod in there:  # one that has ended, or cannot start, is not waited for: the next is made at once
            if _says(pod, spec):
                await self._api.delete(self._path(pod))

    async def _make_claim(self, spec: AgentSpec, claim: Mapping[str, Any]) -> None:
        path = f"{self._core}/persistentvolumeclaims"
        try:
            found = await self._set(path, claim)
        except Aborted as e:
            there = (
                await self._ours(f"{path}/{claim['metadata']['name']}") if e.metadata.get("status") == "422" else None
            )
            if there is None:
                raise
            found = there  # of another size or class than a new one would be, which cannot be changed
        if spec.agent not in manifests.homes(found):
            noted = {"metadata": {"annotations": {f"{manifests.HOME}{spec.agent}": spec.agent_uid}}}
            await self._api.merge(f"{path}/{claim['metadata']['name']}", noted, _HOMES)

    async def _show(self, spec: AgentSpec) -> None:
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
            await self._set("/api/v1/persistentvolumes", volume)
            await self._set(f"{self._core}/persistentvolumeclaims", claim)
            await self._bind(f"{self._core}/persistentvolumeclaims/{claim['metadata']['name']}")
        await self._unshow(spec.agent_uid, but=names)

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
            found = await self._api.merge(path, nudge, _HOMES)

    async def _unshow(self, agent_uid: str, but: Collection[str] = ()) -> None:
        if not self._cluster.node:
            return
        owned = f"{bodies.OWNER}={agent_uid},{manifests.ERRAND}=mount"
        for each in await self._list(f"{self._core}/persistentvolumeclaims", owned):
            name = each["metadata"]["name"]
            if name not in but:
                await self._api.delete(f"{self._core}/persistentvolumeclaims/{name}")
                await self._api.delete(f"/api/v1/persistentvolumes/{name}")

    async def _set(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply. Where somebody else has set a field of ours it is put back, unless the object is not ours."""
        name = body["metadata"]["name"]
        try:
            return await self._api.apply(f"{path}/{name}", body, self._manager)
        except Aborted as e:
            if e.reason != "ENGINE_CONFLICT":
                raise
            await self._ours(f"{path}/{name}")
            return await self._api.apply(f"{path}/{name}", body, self._manager, force=True)

    async def _await_start(self, spec: AgentSpec) -> None:
        """Return when the container is started, or cannot be for a reason that may go away; refuse what will not."""

        def reached(found: Sequence[Mapping[str, Any]]) -> bool:
            pod = pods.current([each for each in found if _says(each, spec)])
            if pod is None or pod["metadata"].get("deletionTimestamp"):
                return False
            if why := pods.no_image(pod):
                raise errands.no_image(spec.image, why)
            return bool(pods.run(pod) or pods.obstacle(pod, time.time()))

        try:
            async with asyncio.timeout(START_SECONDS):
                await self._until_started(spec, reached)
        except TimeoutError:
            return  # the watch tells what becomes of it
        except FailedPrecondition:
            await self._end(spec.agent_uid, await self._deployment(spec.agent_uid))
            raise

    async def _until_started(self, spec: AgentSpec, reached: Callable[[Sequence[Mapping[str, Any]]], bool]) -> None:
        """Also when the cluster refuses to make a pod at all."""
        stirred = asyncio.Event()
        label = f"{bodies.LOG}={self._log_id},{bodies.AGENT_UID}={spec.agent_uid}"
        found_pods = Informer(self._api, f"{self._core}/pods", label, stirred.set)
        deployments = Informer(self._api, self._deployments, label, stirred.set)
        async with _following(found_pods, deployments) as following:
            while True:
                await _stirred(stirred, following, pods.PATIENCE)
                if not (found_pods.synced.is_set() and deployments.synced.is_set()):
                    continue
                if reached(list(found_pods.objects.values())):
                    return
                wanted = next(iter(deployments.objects.values()), None)
                if wanted is None:
                    raise Aborted("ENGINE_REFUSED", "Somebody has deleted its Deployment.")
                status = pods.status(wanted, list(found_pods.objects.values()), time.time())
                if status and status.reason and not found_pods.objects:
                    return

    async def _end(self, agent_uid: str, found: Mapping[str, Any] | None) -> None:
        """No pod; what made it stays, at none."""
        if found and found["spec"].get("replicas", 1):
            path = f"{self._deployments}/{manifests.container_name(agent_uid)}"
            await self._api.merge(path, {"spec": {"replicas": 0}}, self._manager)
        await self._until_gone(f"{bodies.AGENT_UID}={agent_uid}")

    async def _remove(self, agent_uid: str, found: Mapping[str, Any] | None) -> None:
        name = manifests.container_name(agent_uid)
        if found:
            await self._api.delete(f"{self._deployments}/{name}", {"propagationPolicy": "Background"})
        await self._until_gone(f"{bodies.AGENT_UID}={agent_uid}")
        if await self._ours(f"{self._core}/secrets/{name}"):
            await self._api.delete(f"{self._core}/secrets/{name}")
        await self._unshow(agent_uid)

    async def _remove_home(self, data_uid: str, agent: str) -> None:
        """The folder, then the note that it is there: killed between the two, the next one finds the note."""
        path = f"{self._core}/persistentvolumeclaims/{manifests.claim_name(data_uid)}"
        claim = await self._ours(path)
        if not claim or agent not in manifests.homes(claim):
            return
        if claim["status"].get("phase") == "Bound":
            script = f"rm -rf /data/{manifests.HOMES}/{agent}"
            await self._errands.run("removal", script, _annotations(claim)[manifests.IMAGE], data_uid)
        await self._api.merge(path, {"metadata": {"annotations": {f"{manifests.HOME}{agent}": None}}}, _HOMES)

    async def _remove_claim(self, claim: Mapping[str, Any]) -> None:
        path, name = f"{self._core}/persistentvolumeclaims", claim["metadata"]["name"]
        await self._api.delete(f"{path}/{name}")
        await self._until_none(path, f"{bodies.LOG}={self._log_id}", lambda found: name not in found)

    async def _until_gone(self, selector: str) -> None:
        await self._until_none(f"{self._core}/pods", f"{bodies.LOG}={self._log_id},{selector}", lambda found: not found)

    async def _until_none(self, path: str, selector: str, gone: Callable[[Mapping[str, Any]], bool]) -> None:
        stirred = asyncio.Event()
        informer = Informer(self._api, path, selector, stirred.set)
        try:
            async with asyncio.timeout(GONE_SECONDS), _following(informer) as following:
                while True:
                    await _stirred(stirred, following)
                    if informer.synced.is_set() and gone(informer.objects):
                        return
        except TimeoutError as e:
            text = f"The cluster has not ended it within {GONE_SECONDS:.0f} s; its node may be away."
            raise Aborted("ENGINE_REFUSED", text) from e

    async def _connect(self, pod: Mapping[str, Any]) -> socket.socket:
        """By the shorter way where there is one."""
        if time.monotonic() >= self._direct_from:
            try:
                return await sshport.connect(pods.address(pod), SSHD_PORT, seconds=DIRECT_SECONDS)
            except ConnectionRefusedError:
                raise  # its node answers, so it does lead there: sshd is not up yet
            except OSError:
                self._direct_from = time.monotonic() + DETOUR_SECONDS
        return await self._forwards.open(f"{self._path(pod)}/portforward", SSHD_PORT)

    async def _disk(self, data_uid: str, claim: Mapping[str, Any]) -> int:
        """Of the volume as a whole; nothing is in one that was never used."""
        if claim["status"].get("phase") != "Bound":
            return 0
        script = "du -s --block-size=1 /data | cut -f 1"
        return int(await self._errands.run("measuring", script, _annotations(claim)[manifests.IMAGE], data_uid))

    async def _ours(self, path: str) -> dict[str, Any] | None:
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

    async def _list(self, path: str, *selectors: str) -> Sequence[dict[str, Any]]:
        selector = ",".join((f"{bodies.LOG}={self._log_id}", *selectors))
        return (await self._api.list(path, labelSelector=selector))["items"]  # type: ignore[no-any-return]

    def _path(self, pod: Mapping[str, Any]) -> str:
        return f"{self._core}/pods/{pod['metadata']['name']}"


def _leftovers(kind: str, found: Mapping[str, Any]) -> Sequence[Leftover]:
    """One, and of a claim also one for each home in it: they are volumes to whoever asks."""
    name, own = found["metadata"]["name"], found["metadata"]["labels"]
    names = manifests.volume_names(found) if kind == "volume" else (name,)
    return [Leftover(kind, each, own[bodies.OWNER], own.get(bodies.VIBESPACE, "")) for each in names]


def _says(found: Mapping[str, Any], spec: AgentSpec) -> bool:
    return bool(_annotations(found).get(manifests.SPEC) == spec_hash(spec))


def _annotations(found: Mapping[str, Any]) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


@asynccontextmanager
async def _following(*informers: Informer) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stirred(
    stirred: asyncio.Event, following: Sequence[asyncio.Task[None]], seconds: float | None = None
) -> None:
    """Return when something has changed since the last time, or it is time; raises what ended one who follows."""
    waiting = asyncio.create_task(stirred.wait())
    try:
        await asyncio.wait((waiting, *following), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in following:
        if task.done():
            task.result()
    stirred.clear()


async def _together(jobs: Iterable[Any]) -> None:
    """All of them, then the first failure: none is left running behind the caller's back."""
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _unreachable(agent_uid: str, why: str) -> Unavailable:
    return Unavailable("AGENT_UNREACHABLE", f"The agent cannot be reached: {why}.", agent_uid=agent_uid)
