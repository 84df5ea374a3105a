"""The engine on a real cluster, under the rights that its account has and no others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import Prepared
from tests.contracts.cut import cut
from tests.contracts.factory import agent, find, run, status, uid, watching
from tests.contracts.inside import InsideContract
from tests.contracts.limits import LimitsContract
from tests.engine.on_cluster import KubernetesFactory, patiently
from vibespace.engine import manifests
from vibespace.engine.base import AgentSpec, Condition, HostMount, Resources, Target
from vibespace.engine.kubernetes import KubernetesEngine
from vibespace.errors import Error, PermissionDenied
from vibespace.setup import cluster as setup

pytestmark = pytest.mark.kubernetes


class TestKubernetes(LimitsContract, InsideContract):
    """The suite for all real engines."""

    @pytest.fixture
    async def factory(self, prepared: Prepared) -> AsyncIterator[KubernetesFactory]:
        factory = KubernetesFactory(prepared)
        yield factory
        await factory.close()

    async def test_through_the_api_server(self, prepared: Prepared, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """Where pods cannot be reached at their addresses, every byte goes the other way."""
        far = KubernetesFactory(prepared, direct=False)
        try:
            other = far.open(engine._log_id)
            assert await run(other, spec, "head -c 5000000 /dev/zero | tee ~/zeros | wc -c") == "5000000"
            assert len(await run(other, spec, "tr '\\0' x < ~/zeros")) == 5_000_000
        finally:
            for each in far.opened:
                await each.close()
            await far.admin.close()

    async def test_a_deleted_pod_comes_back(
        self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec
    ) -> None:
        """By itself, as another run of the same."""
        before = await status(engine, spec, Condition.RUNNING)
        await run(engine, spec, "echo own > ~/file")
        await factory.kubectl("delete", "pod", (await factory.pod(spec.agent_uid))["metadata"]["name"])
        after = await status(engine, spec, Condition.RUNNING)
        assert after.started != before.started
        assert await run(engine, spec, "cat ~/file") == "own"

    async def test_evicted(self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """So does one whose node is emptied."""
        before = await status(engine, spec, Condition.RUNNING)
        name = (await factory.pod(spec.agent_uid))["metadata"]["name"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await factory.admin.create(f"/api/v1/namespaces/{factory.prepared.namespace}/pods/{name}/eviction", body)
        async with watching(engine) as snapshots:
            async for snapshot in snapshots:
                if any(s.started not in ("", before.started) for s in snapshot.statuses):
                    break
        assert await run(engine, spec, "echo again") == "again"

    async def test_scaled_by_hand(self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """One that somebody has scaled to nothing is gone, and apply brings it back."""
        name = manifests.container_name(spec.agent_uid)
        await factory.kubectl("scale", "deployment", name, "--replicas=0")
        await status(engine, spec, Condition.ABSENT)
        await engine.apply(spec)
        await status(engine, spec, Condition.RUNNING)

    async def test_edited_by_hand(self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """What somebody has added is told, with who it was, and taken away again."""
        name = manifests.container_name(spec.agent_uid)
        await factory.kubectl("set", "env", f"deployment/{name}", "ADDED=1")
        found = await status(engine, spec, Condition.STOPPED)
        assert found.reason.startswith("it was changed by hand, by kubectl")
        await engine.apply(spec)
        after = await status(engine, spec, Condition.RUNNING)
        assert "env" not in (await factory.pod(spec.agent_uid))["spec"]["containers"][0]
        await engine.apply(spec)
        assert await status(engine, spec, Condition.RUNNING) == after

    async def test_edited_and_back(self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """What somebody has changed, and changed back while nobody looked, is ours again once it is applied."""
        name, image = manifests.container_name(spec.agent_uid), spec.image
        before = await status(engine, spec, Condition.RUNNING)
        await factory.kubectl("scale", "deployment", name, "--replicas=0")
        await status(engine, spec, Condition.ABSENT)
        for each in ("another:1", image):
            await factory.kubectl("set", "image", f"deployment/{name}", f"agent={each}")
        await engine.apply(spec)
        after = await status(engine, spec, Condition.RUNNING)
        assert after.started != before.started
        await engine.apply(spec)
        assert await status(engine, spec, Condition.RUNNING) == after

    @pytest.mark.parametrize("kind", ["networkpolicy", "service"])
    async def test_what_keeps_it_apart_and_was_edited_is_put_back(
        self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec, kind: str
    ) -> None:
        """What somebody adds to it, of which no field is ours, is told, and goes; the agent runs on all the while."""
        before = await status(engine, spec, Condition.RUNNING)
        added: dict[str, Any] = {"sessionAffinity": "ClientIP"} if kind == "service" else {"ingress": [{}]}
        name = manifests.network_name(spec.vibespace_uid)
        await factory.kubectl("patch", kind, name, "--type=merge", "--patch", json.dumps({"spec": added}))
        async with asyncio.timeout(30), watching(engine) as snapshots:
            async for snapshot in snapshots:
                if (found := find(snapshot, spec)).reason:
                    break
        assert "was changed by hand, by kubectl" in found.reason
        await engine.apply(spec)
        assert await status(engine, spec, Condition.RUNNING) == before
        there = json.loads(await factory.kubectl("get", kind, name, "-o", "json"))["spec"]
        assert all(there.get(key) != value for key, value in added.items())

    @pytest.mark.parametrize("kind", ["networkpolicy", "service"])
    async def test_what_keeps_it_apart_is_put_back(
        self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec, kind: str
    ) -> None:
        """What somebody takes away beside it is told, and is there again; the agent runs on all the while."""
        before = await status(engine, spec, Condition.RUNNING)
        name = manifests.network_name(spec.vibespace_uid)
        await factory.kubectl("delete", kind, name)
        async with asyncio.timeout(30), watching(engine) as snapshots:
            async for snapshot in snapshots:
                if (found := find(snapshot, spec)).reason:
                    break
        assert (found.condition, found.spec_hash, found.started) == (Condition.RUNNING, "", before.started)
        assert "somebody has deleted its" in found.reason
        await engine.apply(spec)
        assert name in await factory.kubectl("get", kind, name)
        assert await status(engine, spec, Condition.RUNNING) == before

    async def test_homes_that_cannot_be_written_are_removed(
        self, factory: KubernetesFactory, engine: KubernetesEngine
    ) -> None:
        """Go keeps what it has fetched where nobody may write; and root's files are root's."""
        first = agent(factory)
        await engine.apply(first)
        await level(factory, "baseline")
        try:
            second = replace(agent(factory, "two", like=first), sudo=True)
            await engine.apply(second)
            await run(engine, first, "mkdir -p ~/go/pkg && touch ~/go/pkg/mod && chmod -R a-w ~/go")
            await run(
                engine, second, "sudo sh -c 'umask 077; mkdir -p /home/agent/of/root; touch /home/agent/of/root/x'"
            )
            for each in (first, second):
                target = Target(each.vibespace_uid, each.data_uid, each.agent_uid, each.agent)
                await engine.delete(target, keep_data=False)
        finally:
            await level(factory, "restricted")
        volumes = [left.name for left in await engine.leftovers(frozenset()) if left.kind == "volume"]
        assert volumes == [f"vs-{first.data_uid}"]

    async def test_data_that_is_used_again_keeps_its_size(self, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """Whatever a new vibespace would get: here volumes can neither grow nor shrink."""
        await run(engine, spec, "echo kept > /vibespace/file")
        for size in (20 << 30, 1 << 30):
            await engine.delete(Target(spec.vibespace_uid, spec.data_uid), keep_data=True)
            spec = replace(spec, vibespace_uid=uid(), agent_uid=uid(), storage_bytes=size)
            await engine.apply(spec)
            assert await run(engine, spec, "cat /vibespace/file") == "kept"

    async def test_a_quota(self, factory: KubernetesFactory, engine: KubernetesEngine) -> None:
        """What a quota refuses is told in its words, and runs when there is room."""
        spec = agent(factory)
        quota = f"quota-{spec.agent_uid[:8]}"
        await factory.kubectl("create", "quota", quota, "--hard=pods=0")
        try:
            await engine.apply(spec)
            async with watching(engine) as snapshots:
                async for snapshot in snapshots:
                    if any("exceeded quota" in found.reason for found in snapshot.statuses):
                        break
        finally:
            await factory.kubectl("delete", "quota", quota)
        await status(engine, spec, Condition.RUNNING)

    async def test_no_node_has_room(self, factory: KubernetesFactory, engine: KubernetesEngine) -> None:
        """What no node can take is told by the scheduler's words."""
        spec = replace(agent(factory), resources=Resources(cpu_millis=1_000_000))
        await engine.apply(spec)
        found = await status(engine, spec, Condition.STARTING)
        while not found.reason:
            found = await status(engine, spec, Condition.STARTING)
        assert "Insufficient cpu" in found.reason

    async def test_sudo_needs_baseline(self, factory: KubernetesFactory, engine: KubernetesEngine) -> None:
        """In a namespace that is "restricted" it is refused with the reason, in one that is "baseline" it is root."""
        spec = replace(agent(factory), sudo=True)
        await engine.apply(spec)
        async with watching(engine) as snapshots:
            async for snapshot in snapshots:
                if any("PodSecurity" in found.reason for found in snapshot.statuses):
                    break
        assert any("baseline" in found.reason for found in snapshot.statuses)
        await level(factory, "baseline")
        try:
            await engine.apply(replace(spec, running=False))
            await engine.apply(spec)
            script = "id -u; touch /usr/installed && chown 1000 /usr/installed && stat -c %u /usr/installed"
            assert await run(engine, spec, f"sudo sh -c '{script}'") == "0\n1000"
        finally:
            await level(factory, "restricted")

    async def test_no_token(self, engine: KubernetesEngine, spec: AgentSpec) -> None:
        """What is inside is nobody in the cluster."""
        assert await run(engine, spec, "ls /var/run/secrets 2>/dev/null || echo none") == "none"

    async def test_files_that_are_given(
        self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec
    ) -> None:
        """Host key and authorized keys are root's, readable for the user's group, and he cannot change them."""
        paths = "/etc/vibespace/ssh/host_key /etc/vibespace/ssh/authorized_keys /etc/vibespace/environment"
        assert (await run(engine, spec, f"stat -L -c '%u:%g %a' {paths}")).split("\n") == ["0:1000 440"] * 3
        assert await run(engine, spec, f"for f in {paths}; do test -w $f && echo writable; done; true") == ""
        assert await run(engine, spec, "umask") == "0022"

    async def test_the_hosts_files_keep_their_owner(
        self, factory: KubernetesFactory, engine: KubernetesEngine, tmp_path: Path
    ) -> None:
        """What is shown of a node is as it was: no volume of Kubernetes hands it to our group."""
        (tmp_path / "data").mkdir(mode=0o755)
        (tmp_path / "data/file").write_text("x")
        before = [(path.stat().st_gid, path.stat().st_mode) for path in (tmp_path / "data", tmp_path / "data/file")]
        mount = HostMount(str(tmp_path / "data"), "/mnt/data", read_only=True)
        spec = replace(agent(factory), mounts=(mount,))
        await engine.apply(spec)
        assert "Read-only file system" in await run(engine, spec, "touch /mnt/data/new 2>&1 || true")
        after = [(path.stat().st_gid, path.stat().st_mode) for path in (tmp_path / "data", tmp_path / "data/file")]
        assert after == before

    async def test_siblings_have_names(
        self, factory: KubernetesFactory, engine: KubernetesEngine, spec: AgentSpec
    ) -> None:
        """Each knows its own; the other's are the name server's affair, for which there is a Service."""
        assert await run(engine, spec, "hostname; getent hosts one | wc -l") == "one\n1"
        found = await engine.addresses([spec.agent_uid, uid()])
        assert list(found) == [spec.agent_uid]
        path = f"/api/v1/namespaces/{factory.prepared.namespace}/endpoints/vs-{spec.vibespace_uid}"
        async with asyncio.timeout(30):
            while not (told := await factory.admin.get(path)).get("subsets"):  # noqa: ASYNC110 (a controller writes them)
                await asyncio.sleep(0.1)
        [subset] = told["subsets"]
        assert [(each["hostname"], each["ip"]) for each in subset["addresses"]] == [("one", found[spec.agent_uid][0])]

    @pytest.mark.parametrize("calls", range(1, 12))
    async def test_cut_off_anywhere_converges(
        self, factory: KubernetesFactory, log_id: str, monkeypatch: pytest.MonkeyPatch, calls: int
    ) -> None:
        """An apply that is cut off after any of its calls is completed by the next one."""
        spec, broken = agent(factory), factory.open(log_id)
        cut(monkeypatch, broken, calls)
        with pytest.raises(asyncio.CancelledError):
            await broken.apply(spec)
        whole = factory.open(log_id)
        await whole.apply(spec)
        await status(whole, spec, Condition.RUNNING)
        assert await run(whole, spec, "echo whole") == "whole"

    async def test_few_calls(self, factory: KubernetesFactory, engine: KubernetesEngine) -> None:
        """A start is thirteen calls, a stop four; to do nothing again four, and to watch nine however long."""
        spec = agent(factory)
        counted = []
        for wanted in (spec, spec, replace(spec, running=False)):
            before = engine._api.calls
            await engine.apply(wanted)
            counted.append(engine._api.calls - before)
        assert counted[0] <= 13
        assert counted[1:] == [4, 4]
        before = engine._api.calls
        async with watching(engine) as snapshots:
            await anext(snapshots)
            assert engine._api.calls - before <= 9
            await engine.apply(spec)
            during = engine._api.calls - before
            async for snapshot in snapshots:
                if snapshot.statuses and snapshot.statuses[0].condition is Condition.RUNNING:
                    break
            assert engine._api.calls - before == during

    @pytest.mark.parametrize("program", ["etcd", "kube-apiserver", "kube-controller-manager", "kubelet", "containerd"])
    async def test_a_program_dies_in_the_middle(
        self, factory: KubernetesFactory, engine: KubernetesEngine, program: str
    ) -> None:
        """Whichever of the cluster's programs is killed while agents are made, they come up."""
        first = agent(factory)
        specs = [first, agent(factory, "two", like=first), agent(factory)]
        making = [asyncio.create_task(patiently(engine, spec)) for spec in specs]
        await asyncio.to_thread(factory.cluster.bounce, program)
        await asyncio.gather(*making)
        for spec in specs:
            await patiently_running(engine, spec)
            assert await run(engine, spec, "echo up") == "up"

    async def test_a_right_that_is_missing_is_named(self, factory: KubernetesFactory) -> None:
        """By verb and resource, as kubectl calls them."""
        role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{factory.prepared.namespace}/roles/vibespace"
        whole = await factory.admin.get(role)
        rules = [rule for rule in whole["rules"] if rule["resources"] != ["services"]]
        await factory.admin.merge(role, {"rules": rules}, "test")
        try:
            with pytest.raises(PermissionDenied) as refused:
                await until_refused(factory.prepared.kubeconfig)
        finally:
            await factory.admin.merge(role, {"rules": whole["rules"]}, "test")
        assert "get, list, watch, create, patch, delete, update services." in refused.value.message
        await setup.check(factory.prepared.kubeconfig)


async def until_refused(kubeconfig: Path) -> None:
    """What was taken from a Role is taken a moment later."""
    async with asyncio.timeout(30):
        while True:
            await setup.check(kubeconfig)


async def patiently_running(engine: KubernetesEngine, spec: AgentSpec) -> None:
    """Return when it runs, whoever is away meanwhile; what has ended is asked for again."""
    async with asyncio.timeout(120):
        while True:
            try:
                async with watching(engine) as snapshots:
                    async for snapshot in snapshots:
                        found = find(snapshot, spec)
                        if found.condition is Condition.RUNNING:
                            return
                        if found.condition in (Condition.STOPPED, Condition.ABSENT):
                            await engine.apply(spec)
            except Error:
                await asyncio.sleep(0.5)


async def level(factory: KubernetesFactory, name: str) -> None:
    """What pods in the namespace have to keep to."""
    label = f"pod-security.kubernetes.io/enforce={name}"
    await factory.kubectl("label", "namespace", factory.prepared.namespace, label, "--overwrite")
