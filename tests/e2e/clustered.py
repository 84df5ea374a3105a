"""An installation on the test cluster: the same program, initialised with `--external`, in a namespace of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.cluster.cluster import Cluster
from tests.cluster.place import HERE
from tests.e2e.installation import Installation
from tests.places import Place
from vibespace.engine import bodies, manifests

_numbers = count()


@dataclass(frozen=True)
class ServedCluster:
    """`tests.engines.Served`, as far as tests that run on a cluster ask."""

    cluster: Cluster
    image: str
    socket: str
    """Of the Podman in which images are made."""
    place: Place

    def serve(self) -> None:
        """It is."""

    def guard(self) -> None:
        """Its network does that, or does not."""

    def kill(self) -> None:
        self.cluster.bounce("kube-apiserver")
        self.cluster.wait_for_api()

    def stop(self) -> None:
        """The fixture does."""


class OnCluster(Installation):
    """See `Installation`."""

    machine = HERE

    def __init__(self, served: ServedCluster) -> None:
        super().__init__(served.socket, place=served.place)
        self.served = served
        self.namespace = f"test-{next(_numbers)}"

    def init(self) -> OnCluster:
        where = ("--kubeconfig", str(self.served.cluster.admin), "--namespace", self.namespace)
        self.ok("init", "--external", *where, "--image", self.served.image)
        self.log_id = self.data("status")["cursor"]["log_id"]
        return self

    def objects(self, vibespace: str = "") -> dict[str, list[str]]:
        """Pods, policies, and claims with their homes, in the words of other engines."""
        of = f",{bodies.VIBESPACE}={vibespace}" if vibespace else ""
        claims = self._listed("persistentvolumeclaims", of)
        return {
            "containers": sorted(each["metadata"]["name"] for each in self._listed("pods", of)),
            "networks": sorted(each["metadata"]["name"] for each in self._listed("networkpolicies", of)),
            "volumes": sorted(name for claim in claims for name in manifests.volume_names(claim)),
        }

    def close(self) -> None:
        if self.alive():
            self.kill()
        self.served.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        if self.home.exists():
            shutil.rmtree(self.home)

    def _listed(self, kind: str, of: str) -> list[Any]:
        path = {
            "pods": "/api/v1/namespaces/{}/pods",
            "networkpolicies": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
            "persistentvolumeclaims": "/api/v1/namespaces/{}/persistentvolumeclaims",
        }[kind].format(self.namespace)
        selector = f"{bodies.LOG}={self.log_id}{of}".replace("=", "%3D").replace(",", "%2C")
        found: list[Any] = self.served.cluster.get(f"{path}?labelSelector={selector}")["items"]
        return found


@contextmanager
def on_cluster(served: ServedCluster) -> Iterator[OnCluster]:
    """An installation that is gone afterwards."""
    made = OnCluster(served)
    try:
        yield made
    finally:
        made.close()
