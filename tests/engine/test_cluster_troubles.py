"""What clusters do to people: each trouble is made for real, told in words, and over when its cause is gone.

About three minutes: a node counts as away only after twenty seconds, and is told of after thirty more.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import settings
from tests.cluster.cluster import write_key
from tests.clusters import Prepared
from tests.contracts.factory import agent, find, run, status, uid, watching
from tests.engine.on_cluster import KubernetesFactory, patiently
from vibespace.engine import cluster as kubeconfigs
from vibespace.engine.base import AgentSpec, Condition, Status
from vibespace.engine.kubeapi import Api
from vibespace.engine.kubernetes import KubernetesEngine
from vibespace.errors import Error, Unavailable
from vibespace.setup import clusterobjects

pytestmark = pytest.mark.kubernetes

SECONDS = 120.0
"""How long a trouble may take to be told, or to be over."""


@pytest.fixture
async def factory(prepared: Prepared) -> AsyncIterator[KubernetesFactory]:
    factory = KubernetesFactory(prepared)
    yield factory
    await factory.close()


@pytest.fixture
def engine(factory: KubernetesFactory) -> KubernetesEngine:
    return factory.open(uid())


async def told(engine: KubernetesEngine, spec: AgentSpec, words: str) -> Status:
    """The first status whose reason has these words."""
    async with asyncio.timeout(SECONDS), watching(engine) as snapshots:
        async for snapshot in snapshots:
            found = find(snapshot, spec)
            if words in found.reason:
                return found
    raise AssertionError("a watch ends by raising only")


async def test_the_node_is_away(factory: KubernetesFactory, engine: KubernetesEngine) -> None:
    """That is told, and what runs there goes on: it is reached all the while."""
    spec = agent(factory)
    await engine.apply(spec)
    before = await status(engine, spec, Condition.RUNNING)
    factory.cluster.kill("kubelet")
    try:
        away = await told(engine, spec, "its node is away")
        assert away.condition is Condition.STARTING
        assert await run(engine, spec, "echo on") == "on"
    finally:
        factory.cluster.serve("kubelet")
    async with asyncio.timeout(SECONDS):
        assert await status(engine, spec, Condition.RUNNING) == before


async def test_a_claim_that_nobody_fills(factory: KubernetesFactory, tmp_path: Path) -> None:
    """An agent without its volume says so, and starts as soon as there is one."""
    spec, engine = agent(factory), KubernetesEngine(_of(factory.prepared, tmp_path, storage_class="late"), uid())
    made = {**settings.storage_class(), "metadata": {"name": "late"}}
    volume = settings.volume(f"late-{spec.data_uid[:8]}", _directory(tmp_path / "late"))
    try:
        await engine.apply(spec)
        assert (await told(engine, spec, "no node can take it")).condition is Condition.STARTING
        await factory.admin.create("/apis/storage.k8s.io/v1/storageclasses", made)
        await factory.admin.create(
            "/api/v1/persistentvolumes", {**volume, "spec": {**volume["spec"], "storageClassName": "late"}}
        )
        async with asyncio.timeout(SECONDS):
            await status(engine, spec, Condition.RUNNING)
    finally:
        await factory.admin.delete("/apis/storage.k8s.io/v1/storageclasses/late")
        await engine.close()


async def test_a_volume_that_cannot_be_mounted(factory: KubernetesFactory, tmp_path: Path) -> None:
    """The cluster tells of it by an event alone; an agent says so, and starts as soon as it is mended."""
    spec, engine = agent(factory), KubernetesEngine(_of(factory.prepared, tmp_path, storage_class="lost"), uid())
    made = {**settings.storage_class(), "metadata": {"name": "lost"}}
    volume = settings.volume(f"lost-{spec.data_uid[:8]}", tmp_path / "lost")
    try:
        await factory.admin.create("/apis/storage.k8s.io/v1/storageclasses", made)
        await factory.admin.create(
            "/api/v1/persistentvolumes", {**volume, "spec": {**volume["spec"], "storageClassName": "lost"}}
        )
        making = asyncio.create_task(engine.apply(spec))
        assert (await told(engine, spec, "does not exist")).condition is Condition.STARTING
        _directory(tmp_path / "lost")
        async with asyncio.timeout(SECONDS):
            await making
            await status(engine, spec, Condition.RUNNING)
    finally:
        await factory.admin.delete("/apis/storage.k8s.io/v1/storageclasses/lost")
        await engine.close()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("service-accounts", "service-accounts.pub"), "does not know us any more"),
        (("certificates/apiserver.crt", "certificates/apiserver.key"), "its certificate is not the one"),
    ],
    ids=["another signing key", "another certificate"],
)
async def test_a_login_that_is_worth_nothing(
    factory: KubernetesFactory, engine: KubernetesEngine, tmp_path: Path, files: tuple[str, str], words: str
) -> None:
    """Each call says so, and works again with the old one."""
    spec, at = agent(factory), factory.cluster.at
    await engine.apply(spec)
    for name in files:
        shutil.copy2(at / name, tmp_path / Path(name).name)
    try:
        await _change(factory, files)
        with pytest.raises(Unavailable, match=words):
            await factory.open(uid()).identity()
    finally:
        for name in files:
            shutil.copy2(tmp_path / Path(name).name, at / name)
        await factory.bounce()
    await patiently(engine, replace(spec, running=False))
    await status(engine, spec, Condition.ABSENT)


async def test_a_namespace_that_goes(prepared: Prepared, tmp_path: Path) -> None:
    """Nothing is made in it any more, and that is said; made again, with another login, all is as it was asked for."""
    factory = KubernetesFactory(prepared)
    place = replace(kubeconfigs.read(prepared.kubeconfig), namespace=f"goes-{uid()[:8]}", account="")
    path, admin = tmp_path / "kubeconfig", factory.admin
    authority = base64.b64encode((prepared.cluster.at / "certificates/apiserver.crt").read_bytes()).decode()

    async def login() -> None:
        await clusterobjects.make(admin, place)
        path.write_text(await clusterobjects.login(admin, place, authority))

    await login()
    engine, spec = KubernetesEngine(path, uid()), agent(factory)
    held = f"/api/v1/namespaces/{place.namespace}/configmaps"
    try:
        holder = {"metadata": {"name": "held", "finalizers": ["vibespace.test/held"]}}
        await admin.create(held, {"apiVersion": "v1", "kind": "ConfigMap", **holder})
        await admin.delete(f"/api/v1/namespaces/{place.namespace}")
        with pytest.raises(Error) as refused:
            await engine.apply(spec)
        assert "being terminated" in refused.value.message or "does not know us" in refused.value.message
        await admin.merge(f"{held}/held", {"metadata": {"finalizers": None}}, "test")
        await _until_gone(admin, f"/api/v1/namespaces/{place.namespace}")
        await _until_refused(engine, spec, "does not know us any more")  # for 10 s a token is believed unseen
        await login()
        await patiently(engine, spec)  # a Role is heeded a moment after it is made
        assert await run(engine, spec, "echo again") == "again"
    finally:
        await engine.close()
        await admin.delete(f"/api/v1/namespaces/{place.namespace}")
        await factory.close()


async def _change(factory: KubernetesFactory, files: tuple[str, str]) -> None:
    """Take the files away, and have the API server run with others: those of a certificate it makes by itself."""
    cluster = factory.cluster
    cluster.kill("kube-apiserver")
    for name in files:
        (cluster.at / name).unlink()
    if "service-accounts" in files:
        write_key(cluster.at / "service-accounts")
    cluster.serve("kube-apiserver")
    await asyncio.to_thread(cluster.wait_for_api)


def _directory(path: Path) -> Path:
    """For everybody."""
    path.mkdir()
    path.chmod(0o777)
    path.parent.chmod(0o755)
    return path


async def _until_refused(engine: KubernetesEngine, spec: AgentSpec, words: str) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            with pytest.raises(Error) as refused:
                await engine.apply(spec)
            if words in refused.value.message:
                return
            await asyncio.sleep(0.5)


async def _until_gone(admin: Api, path: str) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await admin.get(path)
            except Error:
                return
            await asyncio.sleep(0.2)


def _of(prepared: Prepared, at: Path, **more: str) -> Path:
    """The kubeconfig with something else told about the cluster."""
    found = json.loads(prepared.kubeconfig.read_text())
    found["contexts"][0]["context"]["extensions"][0]["extension"].update(more)
    (at / "kubeconfig").write_text(json.dumps(found))
    return at / "kubeconfig"
