"""The daemon killed with -9 between any two of its calls of a real cluster: the end is what was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.apirelay import ApiRelay
from tests.e2e.clustered import OnCluster, ServedCluster, on_cluster
from tests.e2e.cuts import MOMENTS, interrupted
from tests.places import Place

pytestmark = pytest.mark.kubernetes

CREATE = ["claim", "policy", "service", "secret", "home", "deployment"]
"""The calls of a create, in some order where they are made together."""
DELETE = ["deployment", "secret", "policy", "service", "claim"]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[ApiRelay]:
    made = ApiRelay(cluster.server, str(cluster.at / "certificates/apiserver.crt"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def killed(cluster: Cluster, cluster_image: str, podman_socket: str, api: ApiRelay) -> Iterator[OnCluster]:
    """An installation whose daemon is killed again and again, and goes to its cluster by the relay."""
    with on_cluster(ServedCluster(cluster, cluster_image, podman_socket, Place())) as made:
        made.init()
        kubeconfig = made.home / "kubeconfig"
        told = json.loads(kubeconfig.read_text())
        told["clusters"][0]["cluster"] = {"server": api.url}
        kubeconfig.write_text(json.dumps(told))
        made.restart()
        yield made


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(CREATE) + 1))
def test_create(killed: OnCluster, api: ApiRelay, step: int, moment: str) -> None:
    """A create that was cut off comes to its end once, and works. Then so does its delete: nothing is left."""
    name = f"cut-{step}-{moment}"
    interrupted(killed, api, step, moment, "create", name, "-t", "codex")
    made = killed.objects(name)
    assert {kind: len(names) for kind, names in made.items()} == {"containers": 1, "networks": 1, "volumes": 2}
    assert killed.inside(f"codex-1@{name}", "echo works") == "works"
    assert killed.types("--vibespace", name).count("vibespace.created") == 1
    assert killed.types("--vibespace", name).count("agent.created") == 1
    interrupted(killed, api, min(step, len(DELETE)), moment, "delete", name, "--force")
    assert killed.objects() == {"containers": [], "networks": [], "volumes": []}
    assert killed.data("list")["vibespaces"] == []
    assert killed.types("--vibespace", name).count("vibespace.deleted") == 1
