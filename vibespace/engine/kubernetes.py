"""Agents on a cluster: a Deployment each, made, changed and taken away by server-side apply of pure manifests."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from vibespace.engine import bodies, errands, manifests, podlogs, podlook, pods, podusage, renewal, sshport
from vibespace.engine.base import (
    SSHD_PORT,
    AgentSpec,
    Condition,
    Identity,
    Leftover,
    Snapshot,
    Status,
    Target,
    Usage,
    Written,
    spec_hash,
)
from vibespace.engine.claims import Claims
from vibespace.engine.cluster import identify, read
from vibespace.engine.errands import Errands
from vibespace.engine.informer import Informer, following, stirred
from vibespace.engine.kubeapi import Api
from vibespace.engine.mounts import Mounts
from vibespace.engine.objects import OwnObjects, together
from vibespace.engine.paths import Paths
from vibespace.engine.podevents import Warnings
from vibespace.engine.portforward import Forwards
from vibespace.engine.pulse import Pulse
from vibespace.engine.statuses import Statuses
from vibespace.errors import Aborted, FailedPrecondition, Unavailable

START_SECONDS = 300.0
"""How long an apply waits for a container; then the watch tells of it, and it is waited for no more."""

DIAL_SECONDS = 15.0
"""How long an agent that runs may take until its sshd answers."""

DIRECT_SECONDS = 0.5
"""What a pod's own address gets to answer, before the way through the API server is taken."""

DETOUR_SECONDS = 60.0
"""How long the address is not tried again after it has not answered."""

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
        self._errands = Errands(self._api, log_id, self._cluster)
        self._at = Paths(self._cluster.namespace)
        self._ours = OwnObjects(self._api, log_id, self._at)
        self._claims = Claims(self._api, self._ours, self._errands, log_id, self._cluster)
        self._mounts = Mounts(self._api, self._ours, log_id, self._cluster)
        self._forwards = Forwards(self._api)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._direct_from = 0.0 if direct else float("inf")

    async def apply(self, spec: AgentSpec) -> None:
        async with self._one_at_a_time(spec.agent_uid):
            found = await self._deployment(spec.agent_uid)
            if not spec.running:
                await self._end(spec.agent_uid, found)
                return
            there = await self._pods(spec.agent_uid)
            status = _under_way(found, there, spec)
            if status:
                await together(self._set_network(spec))
            else:
                await self._make(spec, there)
            if not (status and status.started):
                await self._await_start(spec)

    async def delete(self, target: Target, *, keep_data: bool) -> None:
        if target.agent_uid:
            async with self._one_at_a_time(target.agent_uid):
                found = await self._deployment(target.agent_uid)
                await self._remove(target.agent_uid, found)
                if not keep_data:
                    await self._claims.remove_home(target.data_uid, target.agent)
            return
        claim = await self._claims.find(target.data_uid)
        name = manifests.network_name(target.vibespace_uid)
        beside = [f"{path}/{name}" for path in (self._at.networks, self._at.services)]
        await together(map(self._ours.find, beside))
        deployments = await self._ours.list(self._at.deployments, f"{bodies.VIBESPACE_UID}={target.vibespace_uid}")
        await together(self._remove(pods.agent_uid(each), each) for each in deployments)
        await together(map(self._api.delete, beside))
        if claim and not keep_data:
            await self._claims.remove(claim)

    async def watch(self) -> AsyncIterator[Snapshot]:
        changed = asyncio.Event()
        label = f"{bodies.LOG}={self._log_id}"
        deployments = Informer(self._api, self._at.deployments, label, changed.set)
        found_pods = Informer(self._api, self._at.pods, f"{label},{bodies.AGENT_UID}", changed.set)
        networks = Informer(self._api, self._at.networks, label, changed.set)
        services = Informer(self._api, self._at.services, label, changed.set)
        informers = (deployments, found_pods, networks, services)
        await self._errands.clear()
        async with self._renewing(), following(*informers, Pulse(self._api, self._at.pods)) as tasks:
            last, statuses, warnings = None, Statuses(), Warnings(self._api, self._at.events)
            while True:
                await stirred(changed, tasks, pods.PATIENCE)  # what has waited so long is told then
                if not all(each.synced.is_set() for each in informers):
                    continue
                # Of a thousand that change at once not each is told by itself: looking through all takes as long.
                await asyncio.sleep(len(deployments.objects) * 1e-5)
                await asyncio.to_thread(self._heed_init)
                changed.clear()
                begun = time.monotonic()
                reasons = await warnings.about(found_pods.objects.values())
                there = deployments.objects.values(), found_pods.objects.values()
                with self._api.understood():
                    found = statuses(*there, networks.objects, services.objects, self._cluster.closed, reasons)
                snapshot = Snapshot(found, begun)
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
        room = asyncio.Semaphore(errands.AT_ONCE)

        async def used_by(pod: Mapping[str, Any]) -> Usage | None:
            async with room:
                return await podusage.usage(self._api, self._path(pod))

        used = await asyncio.gather(*map(used_by, running.values()))
        return {uid: found for uid, found in zip(running, used, strict=True) if found}

    async def disk(self, data_uids: Collection[str]) -> Mapping[str, int]:
        running: dict[str, dict[str, str]] = {}
        for pod in (await self._current()).values():
            labels = pod["metadata"]["labels"]
            if pods.run(pod) and labels.keys() >= {manifests.DATA_UID, bodies.AGENT}:
                running.setdefault(labels[manifests.DATA_UID], {})[labels[bodies.AGENT]] = self._path(pod)
        return await self._claims.sizes(data_uids, running)

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
        return await self._ours.leftovers(known_uids)

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

    def _heed_init(self) -> None:
        """Where another one has found nodes elsewhere, agents are kept from these. Waits for the disk."""
        with suppress(FailedPrecondition):  # it is not whole; what was known still holds
            self._cluster = replace(self._cluster, closed=read(self._kubeconfig).closed)

    # One agent

    def _one_at_a_time(self, agent_uid: str) -> asyncio.Lock:
        return self._locks.setdefault(agent_uid, asyncio.Lock())

    async def _deployment(self, agent_uid: str) -> dict[str, Any] | None:
        return await self._ours.find(f"{self._at.deployments}/{manifests.container_name(agent_uid)}")

    async def _pods(self, agent_uid: str) -> Sequence[Mapping[str, Any]]:
        return await self._ours.list(self._at.pods, f"{bodies.AGENT_UID}={agent_uid}")

    async def _current(self) -> Mapping[str, Mapping[str, Any]]:
        """The pod that counts, by agent."""
        return pods.counting(await self._ours.list(self._at.pods, bodies.AGENT_UID))

    async def _make(self, spec: AgentSpec, there: Sequence[Mapping[str, Any]]) -> None:
        await together(
            (
                self._claims.make(spec),
                *self._set_network(spec),
                self._ours.set(self._at.secrets, manifests.secret(self._log_id, spec)),
                self._mounts.show(spec),
            )
        )
        wanted = manifests.deployment(self._log_id, spec, self._cluster)
        await self._ours.put(self._at.deployments, wanted)
        over = [pod for pod in there if pods.is_over(pod)]  # beside which there is another already
        for pod in over or there:  # one that has ended, or cannot start, is not waited for: the next is made at once
            if over or _says(pod, spec):
                await self._api.delete(self._path(pod))

    def _set_network(self, spec: AgentSpec) -> Sequence[Coroutine[Any, Any, Any]]:
        """What keeps it apart, and names it."""
        return (
            self._ours.put(self._at.networks, manifests.network(self._log_id, spec, self._cluster)),
            self._ours.put(self._at.services, manifests.service(self._log_id, spec)),
        )

    async def _await_start(self, spec: AgentSpec) -> None:
        """Return when the container is started, or cannot be for a reason that may go away; refuse what will not."""

        def reached(found: Sequence[Mapping[str, Any]]) -> bool:
            pod = pods.current([each for each in found if _says(each, spec)])
            if pod is None or pod["metadata"].get("deletionTimestamp"):
                return False
            if why := pods.no_image(pod):
                raise errands.no_image(spec.image, why)
            return bool(pods.run(pod) or pods.is_over(pod) or pods.obstacle(pod, time.time()))

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
        changed = asyncio.Event()
        label = f"{bodies.LOG}={self._log_id},{bodies.AGENT_UID}={spec.agent_uid}"
        found_pods = Informer(self._api, self._at.pods, label, changed.set)
        deployments = Informer(self._api, self._at.deployments, label, changed.set)
        async with following(found_pods, deployments) as tasks:
            while True:
                await stirred(changed, tasks, pods.PATIENCE)
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
            path = f"{self._at.deployments}/{manifests.container_name(agent_uid)}"
            await self._api.merge(path, {"spec": {"replicas": 0}}, self._ours.manager)
        await self._until_gone(agent_uid)

    async def _remove(self, agent_uid: str, found: Mapping[str, Any] | None) -> None:
        name = manifests.container_name(agent_uid)
        if found:
            await self._api.delete(f"{self._at.deployments}/{name}", {"propagationPolicy": "Background"})
        await self._until_gone(agent_uid)
        if await self._ours.find(f"{self._at.secrets}/{name}"):
            await self._api.delete(f"{self._at.secrets}/{name}")
        await self._mounts.unshow(agent_uid)

    async def _until_gone(self, agent_uid: str) -> None:
        """One that is over nobody else takes away."""
        over: set[str] = set()

        def gone(found: Mapping[str, Mapping[str, Any]]) -> bool:
            over.update(name for name, pod in found.items() if pods.is_over(pod))
            return not found.keys() - over

        await self._ours.until_none(self._at.pods, f"{bodies.AGENT_UID}={agent_uid}", gone)
        await together(self._api.delete(f"{self._at.pods}/{name}") for name in over)

    async def _connect(self, pod: Mapping[str, Any]) -> socket.socket:
        """By the shorter way where there is one."""
        if time.monotonic() >= self._direct_from:
            try:
                return await sshport.connect(pods.address(pod), SSHD_PORT, seconds=DIRECT_SECONDS)
            except OSError as e:
                if isinstance(e, ConnectionRefusedError) and not pods.ready(pod):
                    raise  # its node answers, so it does lead there: sshd is not up yet
                self._direct_from = time.monotonic() + DETOUR_SECONDS
        return await self._forwards.open(f"{self._path(pod)}/portforward", SSHD_PORT)

    def _path(self, pod: Mapping[str, Any]) -> str:
        return f"{self._at.pods}/{pod['metadata']['name']}"


def _under_way(
    deployment: Mapping[str, Any] | None, there: Sequence[Mapping[str, Any]], spec: AgentSpec
) -> Status | None:
    """How it is, where it runs as it should, or will: what has ended waits to be started again, but not for us."""
    if not deployment or deployment["spec"]["replicas"] != 1 or not _says(deployment, spec):
        return None
    status = pods.status(deployment, there, time.time())
    goes = status and status.condition in (Condition.RUNNING, Condition.STARTING) and not status.reason
    return status if goes else None


def _says(found: Mapping[str, Any], spec: AgentSpec) -> bool:
    return bool(_annotations(found).get(manifests.SPEC) == spec_hash(spec))


def _annotations(found: Mapping[str, Any]) -> Mapping[str, str]:
    return found["metadata"].get("annotations") or {}


def _unreachable(agent_uid: str, why: str) -> Unavailable:
    return Unavailable("AGENT_UNREACHABLE", f"The agent cannot be reached: {why}.", agent_uid=agent_uid)
