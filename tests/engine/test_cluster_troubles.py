"""What clusters do to people: each trouble is made for real, told in words, and over when its cause is gone.

About five minutes: a node counts as away only after twenty seconds, and is told of after thirty more.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import settings
from tests.cluster.cluster import write_key
from tests.cluster.hollow import bystander
from tests.clusters import Prepared
from tests.contracts.factory import agent, find, run, status, uid, watching
from tests.engine.on_cluster import KubernetesFactory, patiently
from vibespace.engine import cluster as kubeconfigs
from vibespace.engine import manifests
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


@pytest.fixture
async def impatient(factory: KubernetesFactory) -> AsyncIterator[None]:
    """A node that is away is borne for one second by pods that are made now, where five minutes are usual; and another
    is not away, for a cluster of which no node answers ends nobody.
    """
    kinds = ("unreachable", "not-ready")
    await _serve_api(factory, *(f"--default-{kind}-toleration-seconds=1" for kind in kinds))
    async with bystander(factory.admin):
        yield
    await _serve_api(factory)


async def told(engine: KubernetesEngine, spec: AgentSpec, words: str) -> Status:
    """The first status whose reason has these words."""
    seen: list[Status] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS), watching(engine) as snapshots:
            async for snapshot in snapshots:
                seen.append(find(snapshot, spec))
                if words in seen[-1].reason:
                    return seen[-1]
    raise AssertionError(f"it was told: {[(each.condition, each.reason) for each in seen]}")


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


async def test_the_node_is_away_for_longer_than_is_borne(
    factory: KubernetesFactory, engine: KubernetesEngine, impatient: None
) -> None:
    """Its agents are to be elsewhere then; where there is no other node that is told, and this one gets them back."""
    spec = agent(factory)
    await patiently(engine, spec)
    before = await status(engine, spec, Condition.RUNNING)
    await run(engine, spec, "echo own > ~/file")
    factory.cluster.kill("kubelet")
    try:
        away = await told(engine, spec, "untolerated taint")
        assert away.condition is Condition.STARTING
    finally:
        factory.cluster.serve("kubelet")
    async with asyncio.timeout(SECONDS):
        assert (await status(engine, spec, Condition.RUNNING)).started != before.started
    assert await run(engine, spec, "cat ~/file") == "own"


async def test_a_node_that_is_emptied(factory: KubernetesFactory, engine: KubernetesEngine) -> None:
    """Who is told to leave it says why he runs nowhere, and is back once he may."""
    spec, taint = agent(factory), "vibespace.test/emptied"
    await engine.apply(spec)
    await status(engine, spec, Condition.RUNNING)
    await run(engine, spec, "echo own > ~/file")
    await factory.kubectl("taint", "node", settings.NODE, f"{taint}=yes:NoExecute")
    try:
        assert (await told(engine, spec, "untolerated taint")).condition is Condition.STARTING
    finally:
        await factory.kubectl("taint", "node", settings.NODE, f"{taint}-")
    async with asyncio.timeout(SECONDS):
        await status(engine, spec, Condition.RUNNING)
    assert await run(engine, spec, "cat ~/file") == "own"


async def test_more_than_a_node_gives(factory: KubernetesFactory, engine: KubernetesEngine) -> None:
    """Who writes more beside his volume than his pod may have there is ended, and that is told, though another pod is
    there at once; it runs again, and comes to rest.
    """
    spec = agent(factory)
    ranges = f"/api/v1/namespaces/{factory.prepared.namespace}/limitranges"
    limit = {"type": "Container", "default": {"ephemeral-storage": "20Mi"}}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": spec.agent_uid}, "spec": {"limits": [limit]}}
    await factory.admin.create(ranges, body)
    try:
        await engine.apply(spec)
        before = await status(engine, spec, Condition.RUNNING)
        await run(engine, spec, "head -c 50000000 /dev/zero > /tmp/much")
        ended = await told(engine, spec, "(Evicted): Pod ephemeral local storage usage exceeds the total limit")
        assert ended.condition is Condition.STOPPED
        await engine.apply(spec)
        async with asyncio.timeout(SECONDS):
            assert (await status(engine, spec, Condition.RUNNING)).started != before.started
        await run(engine, spec, "head -c 50000000 /dev/zero > /tmp/much")
        await told(engine, spec, "(Evicted)")
        await engine.apply(replace(spec, running=False))
        await status(engine, spec, Condition.ABSENT)
    finally:
        await factory.admin.delete(f"{ranges}/{spec.agent_uid}")


async def test_a_volume_that_is_full(factory: KubernetesFactory, tmp_path: Path) -> None:
    """Who has his home in it runs on; another one does not get one there, which is told, until there is room again."""
    first, engine = agent(factory), KubernetesEngine(_of(factory.prepared, tmp_path, storage_class="small"), uid())
    second = agent(factory, "two", like=first)
    made, at = {**settings.storage_class(), "metadata": {"name": "small"}}, _directory(tmp_path / "small")
    volume = settings.volume(f"small-{first.data_uid[:8]}", at)
    factory.cluster.node.run("mount", "-t", "tmpfs", "-o", "nr_inodes=32,mode=0777", "tmpfs", str(at))
    try:
        await factory.admin.create("/apis/storage.k8s.io/v1/storageclasses", made)
        await factory.admin.create(
            "/api/v1/persistentvolumes", {**volume, "spec": {**volume["spec"], "storageClassName": "small"}}
        )
        await engine.apply(first)
        await run(
            engine, first, "mkdir /vibespace/much; cd /vibespace/much; seq 100 | xargs touch 2>&1 | grep -m 1 space"
        )
        await engine.apply(second)
        assert (await told(engine, second, "its volume may be full")).condition is Condition.STARTING
        await run(engine, first, "rm -r /vibespace/much")
        async with asyncio.timeout(SECONDS):
            await status(engine, second, Condition.RUNNING)
    finally:
        for spec in (first, second):
            await engine.apply(replace(spec, running=False))
        await factory.admin.delete("/apis/storage.k8s.io/v1/storageclasses/small")
        await engine.close()
        factory.cluster.node.run("umount", "--lazy", str(at))


async def test_nodes_that_are_elsewhere(factory: KubernetesFactory, tmp_path: Path) -> None:
    """What another `init` finds out is heeded by an engine that is at work: who runs is kept from those too."""
    spec, log_id = agent(factory), uid()
    engine = KubernetesEngine(_of(factory.prepared, tmp_path, closed=["203.0.113.5/32"]), log_id)
    factory.logs.add(log_id)
    try:
        await engine.apply(spec)
        before = await status(engine, spec, Condition.RUNNING)
        async with watching(engine) as snapshots:
            assert find(await anext(snapshots), spec) == before
            _of(factory.prepared, tmp_path, closed=["203.0.113.6/32"])
            async with asyncio.timeout(SECONDS):
                assert find(await anext(snapshots), spec) == replace(before, spec_hash="")
        await engine.apply(spec)
        policy = await factory.kubectl("get", "networkpolicy", manifests.network_name(spec.vibespace_uid), "-o", "json")
        assert ("203.0.113.6/32" in policy, "203.0.113.5/32" in policy) == (True, False)
        assert await status(engine, spec, Condition.RUNNING) == before
    finally:
        await engine.close()


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
        (("certificates/apiserver.crt", "certificates/apiserver.key"), "its certificate is not one"),
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


async def _serve_api(factory: KubernetesFactory, *more: str) -> None:
    """Anew, with these settings."""
    factory.cluster.kill("kube-apiserver")
    factory.cluster.serve("kube-apiserver", *more)
    await asyncio.to_thread(factory.cluster.wait_for_api)


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


def _of(prepared: Prepared, at: Path, **more: object) -> Path:
    """The kubeconfig with something else told about the cluster."""
    found = json.loads(prepared.kubeconfig.read_text())
    found["contexts"][0]["context"]["extensions"][0]["extension"].update(more)
    (at / "kubeconfig").write_text(json.dumps(found))
    return at / "kubeconfig"
