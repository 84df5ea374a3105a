"""The engine on the tests' cluster, for the suite of all engines and for what only a cluster does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.clusters import Prepared
from vibespace.engine import bodies, informer, manifests
from vibespace.engine.base import AgentSpec
from vibespace.engine.kubeapi import Api
from vibespace.engine.kubernetes import KubernetesEngine
from vibespace.errors import Error


class KubernetesFactory:
    """`contracts.factory.Factory` for the cluster."""

    def __init__(self, prepared: Prepared, *, direct: bool = True) -> None:
        self.image = prepared.image
        self.prepared = prepared
        self.cluster = prepared.cluster
        self.admin = Api(prepared.cluster.admin)
        self.opened: list[KubernetesEngine] = []
        self.logs: set[str] = set()
        self._direct = direct

    def open(self, log_id: str) -> KubernetesEngine:
        self.logs.add(log_id)
        self.opened.append(KubernetesEngine(self.prepared.kubeconfig, log_id, direct=self._direct))
        return self.opened[-1]

    async def remove_by_hand(self, agent_uid: str) -> None:
        """A pod would come back by itself: who wants it gone takes away what makes it."""
        await self.kubectl("delete", "deployment", manifests.container_name(agent_uid))

    async def end_by_itself(self, agent_uid: str) -> None:
        name = (await self.pod(agent_uid))["metadata"]["name"]
        task = (await self.container(name))["containerID"].removeprefix("containerd://")
        await asyncio.to_thread(self.cluster.ctr, "tasks", "kill", "--signal=SIGKILL", task)
        await self.until(name, lambda status: status["restartCount"] == 1)

    async def bounce(self) -> None:
        """Who follows looks at once whether it is away: one that is back within a second is borne without a word."""
        usual, informer.CUT_SECONDS = informer.CUT_SECONDS, 0.0
        try:
            await asyncio.to_thread(self.cluster.bounce, "kube-apiserver")
            await asyncio.to_thread(self.cluster.wait_for_api)
        finally:
            informer.CUT_SECONDS = usual

    async def pod(self, agent_uid: str) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{self.prepared.namespace}/pods"
        found = await self.admin.list(path, labelSelector=f"{bodies.AGENT_UID}={agent_uid}")
        pod: dict[str, Any] = found["items"][0]
        return pod

    async def container(self, pod: str) -> dict[str, Any]:
        found = await self.admin.get(f"/api/v1/namespaces/{self.prepared.namespace}/pods/{pod}")
        container: dict[str, Any] = found["status"]["containerStatuses"][0]
        return container

    async def until(self, pod: str, reached: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(60):
            while not reached(await self.container(pod)):  # noqa: ASYNC110 (the kubelet says so by no event)
                await asyncio.sleep(0.1)

    async def kubectl(self, *words: str) -> str:
        return await asyncio.to_thread(self.cluster.kubectl, f"--namespace={self.prepared.namespace}", *words)

    async def close(self) -> None:
        """Take away all that the test made, however it ended."""
        await asyncio.gather(*(engine.close() for engine in self.opened))
        for log_id in self.logs:
            kinds = "deployments,pods,secrets,services,networkpolicies,persistentvolumeclaims"
            await self.kubectl("delete", kinds, f"--selector={bodies.LOG}={log_id}", "--wait=false", "--now")
            await asyncio.to_thread(
                self.cluster.kubectl, "delete", "pv", f"--selector={bodies.LOG}={log_id}", "--wait=false"
            )
        await self.admin.close()


async def patiently(engine: KubernetesEngine, spec: AgentSpec) -> None:
    """Apply, as the loop does: again, as long as the cluster does not answer or refuses."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await engine.apply(spec)
            except Error:
                await asyncio.sleep(0.5)
