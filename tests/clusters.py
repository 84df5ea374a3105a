"""The cluster that all tests share, with the agents' image in it: started once a run, in 7 s.

Its programs are built once, in 5 minutes, and the image is put into it once, in half a minute; both are kept.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import settings
from tests.cluster.build import cache as kept
from tests.cluster.cluster import Cluster
from tests.cluster.images import take_agents
from tests.cluster.running import running
from vibespace.engine.cluster import Cluster as Place
from vibespace.engine.kubeapi import Api
from vibespace.setup import clusterobjects


@dataclass(frozen=True)
class Prepared:
    """A cluster that runs, and in it a namespace as `init` makes it."""

    cluster: Cluster
    namespace: str
    kubeconfig: Path
    """Of the account, which has the Role and nothing else."""
    image: str


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster; one run at a time has it."""
    with running() as found:
        yield found


@pytest.fixture(scope="session")
def cluster_image(cluster: Cluster, podman_socket: str, agent_image: str) -> str:
    """The agents' image, by the name that it has there."""
    return asyncio.run(take_agents(cluster, podman_socket))


@pytest.fixture(scope="session")
def prepared(cluster: Cluster, cluster_image: str) -> Prepared:
    """The namespace that the engine's tests use, as on a machine that is the cluster's one node."""
    place = Place(server=cluster.server, namespace="engine", node=settings.NODE)
    path = kept() / "node/vibespace.kubeconfig"
    path.write_text(asyncio.run(prepare(cluster, place)))
    return Prepared(cluster, place.namespace, path, cluster_image)


async def prepare(cluster: Cluster, place: Place) -> str:
    """The kubeconfig of an account in that namespace, made as `init` makes it."""
    admin = Api(cluster.admin)
    try:
        await clusterobjects.make(admin, place)
        authority = base64.b64encode((cluster.at / "certificates/apiserver.crt").read_bytes()).decode()
        return await clusterobjects.login(admin, place, authority)
    finally:
        await admin.close()
