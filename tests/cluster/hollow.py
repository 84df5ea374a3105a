"""Nodes that are none: pods on them are said to run as soon as they are there, so that there can be thousands.

The control plane is the real one. What KWOK does, as far as one kind of pod goes, without another program to build.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

from vibespace.engine.informer import Informer
from vibespace.engine.kubeapi import Api
from vibespace.errors import Error

CLASS = "hollow"
"""The storage class of volumes that are none."""
HEARTBEAT_SECONDS = 5.0
_MERGE = "vibespace-test-hollow"
_AT_ONCE = 16


@asynccontextmanager
async def hollow(admin: Api, nodes: int, volumes: int) -> AsyncIterator[None]:
    """So many nodes, the real one closed meanwhile, and so many volumes to claim."""
    await admin.merge("/api/v1/nodes/node-1", {"spec": {"unschedulable": True}}, _MERGE)
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS}}
    await admin.create(
        "/apis/storage.k8s.io/v1/storageclasses", {**body, "provisioner": "kubernetes.io/no-provisioner"}
    )
    for number in range(nodes):
        await admin.create("/api/v1/nodes", _node(f"hollow-{number}"))
    await _many(lambda number: admin.create("/api/v1/persistentvolumes", _volume(number)), volumes)
    tasks = [asyncio.create_task(each) for each in (_beat(admin, nodes), Pods(admin).run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def bystander(admin: Api) -> AsyncIterator[None]:
    """One such node, beside the real one, that takes nothing."""
    await admin.create("/api/v1/nodes", {**_node("hollow-0"), "spec": {"unschedulable": True}})
    beating = asyncio.create_task(_beat(admin, 1))
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await admin.delete("/api/v1/nodes/hollow-0")


class Pods:
    """Says of each pod on such a node that it runs, and lets go of those that are to end."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._stirred = asyncio.Event()
        self._pods = Informer(api, "/api/v1/pods", "vibespace.log", self._stirred.set)
        self._addresses = count(1)
        self._done: dict[str, bool] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                for pod in list(self._pods.objects.values()):
                    uid, going = pod["metadata"]["uid"], bool(pod["metadata"].get("deletionTimestamp"))
                    if str(pod["spec"].get("nodeName", "")).startswith("hollow-") and self._done.get(uid) != going:
                        self._done[uid] = going
                        tasks.create_task(self._see_to(pod, going=going))

    async def _see_to(self, pod: Mapping[str, Any], *, going: bool) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        async with self._room:
            try:
                if going:
                    await self._api.delete(path, {"gracePeriodSeconds": 0})
                else:
                    await self._api.merge(f"{path}/status", {"status": self._status(pod)}, _MERGE)
            except Error:
                self._done.pop(pod["metadata"]["uid"], None)

    def _status(self, pod: Mapping[str, Any]) -> Mapping[str, Any]:
        number, now = next(self._addresses), _now()
        address = f"10.212.{number >> 8 & 255}.{number & 255}"
        container = pod["spec"]["containers"][0]
        kinds = ("Ready", "ContainersReady", "Initialized", "PodScheduled")
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": now}},
                }
            ],
        }


async def _beat(admin: Api, nodes: int) -> None:
    while True:
        for number in range(nodes):
            ready = {"type": "Ready", "status": "True", "reason": "Hollow", "lastHeartbeatTime": _now()}
            await admin.merge(f"/api/v1/nodes/hollow-{number}/status", {"status": {"conditions": [ready]}}, _MERGE)
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _many(make: Any, number: int) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(each: int) -> None:
        async with room:
            await make(each)

    await asyncio.gather(*map(one, range(number)))


def _node(name: str) -> dict[str, Any]:
    room = {"cpu": "1000", "memory": "1000Gi", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"capacity": room, "allocatable": room},
    }


def _volume(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"hollow-{number}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "hostPath": {"path": "/tmp"},
        },
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
