"""The agents' image from a real registry, which asks who is there: pushed, pulled by the cluster, and pushed again."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.clustered import OnCluster, ServedCluster, on_cluster
from tests.e2e.installation import on_terminal
from tests.places import Apart, Place
from tests.registry import PASSWORD, USER, Registry, serving
from vibespace.engine.api import Api
from vibespace.setup.push import push

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def registry(cluster: Cluster, podman_socket: str) -> Iterator[Registry]:
    """At the same address here and on the node; what engine and node have from it goes with it, and its 600 MB."""
    before = _names(cluster)
    with TemporaryDirectory(prefix="vs-registry-") as at, serving(Path(at), Apart(cluster.node.process)) as found:
        yield found
    if taken := sorted(_names(cluster) - before):
        cluster.ctr("images", "remove", *taken)
    asyncio.run(_forget(podman_socket, found.host))


@pytest.fixture
def own(cluster: Cluster, cluster_image: str, podman_socket: str, registry: Registry) -> Iterator[OnCluster]:
    """An installation before `init`, which ends before the registry does."""
    with on_cluster(ServedCluster(cluster, cluster_image, podman_socket, Place())) as made:
        yield made


def test_one_tag_and_two_images(own: OnCluster, registry: Registry, cluster: Cluster) -> None:
    """Nodes pull by the Secret that was named, and by no other; who pushes another image under the same tag has running
    agents told of it, and they take it at their next start.
    """
    reference = f"{registry.host}/team/agent:1"
    (own.home / "auth.json").write_text(registry.auth_file())
    knows = {"REGISTRY_AUTH_FILE": str(own.home / "auth.json")}
    asyncio.run(_derive_and_push(own.engine, own.served.image, reference, {**own.environment(), **knows}))
    where = ("--kubeconfig", str(cluster.admin), "--namespace", own.namespace)
    init = ("init", "--external", *where, "--image", reference)

    code, reason, sentence = own.refused(*init)  # the namespace is there from now on
    assert (code, reason) == (16, "IMAGE_NOT_FOUND")
    assert "--pull-secret" in sentence
    for name, password in (("right", PASSWORD), ("wrong", "hunter3")):
        login = (f"--docker-username={USER}", f"--docker-password={password}", f"--docker-server={registry.host}")
        cluster.kubectl("create", "secret", "docker-registry", name, *login, f"--namespace={own.namespace}")
    assert own.refused(*init, "--pull-secret", "wrong")[:2] == (16, "IMAGE_NOT_FOUND")
    code, reason, sentence = own.refused(*init, "--pull-secret", "none")
    assert (code, reason) == (16, "IMAGE_NOT_FOUND")
    assert f"There is no Secret 'none' in namespace {own.namespace}" in sentence
    assert own.refused("list")[1] == "NOT_INITIALIZED"
    own.ok(*init, "--pull-secret", "right")
    own.ok("create", "demo", "-t", "codex")
    assert own.inside("codex-1@demo", "cat /etc/derived") == reference

    assert own.refused("image", "upgrade")[:2] == (16, "REGISTRY_NOT_NAMED")
    assert own.refused("image", "upgrade", "--push", reference)[:2] == (15, "REGISTRY_REFUSED")
    answer = own.data("image", "upgrade", "--push", reference, env=knows)
    digest, _ = registry.manifests["team/agent", "1"]
    pinned = f"{reference}@{digest}"
    assert (answer["image"], answer["previous_image"]) == (pinned, reference)
    status = own.agent("codex-1@demo")["status"]
    assert (status["image"], status["next_image"]) == (reference, pinned)
    assert f" {reference}@{digest[7:19]}\n" in on_terminal(own, "agent", "info", "codex-1@demo").stdout
    own.ok(*init)  # the same words again change nothing of that
    own.ok("stop", "demo")
    own.ok("start", "demo")
    status = own.agent("codex-1@demo")["status"]
    assert (status["image"], status["next_image"]) == (pinned, "")
    assert own.inside("codex-1@demo", "test -e /etc/derived || echo another") == "another"
    assert ("GET", f"/v2/team/agent/manifests/{digest}") in registry.requests


def _names(cluster: Cluster) -> set[str]:
    return set(cluster.ctr("images", "list", "--quiet").split())


async def _derive_and_push(socket: str, image: str, reference: str, environ: dict[str, str]) -> None:
    """As somebody has put an image there before: like `image`, but for a file with `reference` in it."""
    context = io.BytesIO()
    files = {"Containerfile": f"FROM {image}\nCOPY derived /etc/derived\n", "derived": reference}
    name = f"{reference}-derived"  # which it keeps when another image is called `reference`
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    api = Api(socket)
    try:
        building = api.stream("POST", "/build", context.getvalue(), t=name, dockerfile="Containerfile", rm=True)
        async for _ in building:
            pass  # only its end matters, and an error in it is raised
        await push(api, name, reference, environ, lambda _: None)
    finally:
        await api.close()


async def _forget(socket: str, host: str) -> None:
    """Away with the names of that registry, and with what has no other."""
    api = Api(socket)
    try:
        for found in await api.get("/images/json"):
            for name in found["RepoTags"] or ():
                if name.startswith(f"{host}/"):
                    await api.delete(f"/images/{name}")
    finally:
        await api.close()
