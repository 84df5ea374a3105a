"""An installation on the test cluster: the same program, initialised with `--external`, in a namespace of its own."""

from __future__ import annotations

import json
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
from vibespace.engine import bodies, manifests, pods
from vibespace.engine.homes import volume_names

CLUSTER = "kubernetes"
"""As an engine's kind: see tests/engines.py."""

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
    stays = ("the namespace of ", "the account 'vibespace' and its Role")

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
            "containers": sorted(manifests.container_name(pods.agent_uid(each)) for each in self._listed("pods", of)),
            "networks": sorted(each["metadata"]["name"] for each in self._listed("networkpolicies", of)),
            "volumes": sorted(name for claim in claims for name in volume_names(claim)),
        }

    @property
    def address(self) -> str:
        return f"{self.served.cluster.server}/{self.namespace}"

    def container(self, name: str) -> str:
        """Also what makes its pods; what agents are given is in the Secret, which is there for that."""
        return self._kubectl("get", "deployment,pod", "--output=json")

    def take_container(self, name: str) -> None:
        uid = name.removeprefix(manifests.container_name(""))
        self._kubectl("delete", "pod", f"--selector={bodies.AGENT_UID}={uid}", "--grace-period=0", "--force")

    def make_volume(self, name: str) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        meta = {"name": name, "labels": self._label_of_nothing()}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
        self._kubectl("apply", "--filename=-", input=json.dumps(claim))

    def is_closed(self, vibespace: str) -> bool:
        [policy] = self._listed("networkpolicies", f",{bodies.VIBESPACE}={vibespace}")
        return all("podSelector" in peer for rule in policy["spec"]["egress"] for peer in rule["to"])

    def allow_sudo(self) -> None:
        label = "pod-security.kubernetes.io/enforce=baseline"
        self.served.cluster.kubectl("label", "namespace", self.namespace, label, "--overwrite")

    def close(self) -> None:
        if self.alive():
            self.kill()
        self.served.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        if self.home.exists():
            shutil.rmtree(self.home)

    def _kubectl(self, *words: str, input: str = "") -> str:
        return self.served.cluster.kubectl(f"--namespace={self.namespace}", *words, input=input)

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
