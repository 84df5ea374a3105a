"""What an administrator makes in a cluster for a daemon, once: its namespace, its account with its Role, a login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vibespace.engine import cluster as kubeconfigs
from vibespace.engine import rights
from vibespace.engine.cluster import Cluster
from vibespace.engine.kubeapi import Api

MANAGER = "vibespace-init"
TOKEN_SECONDS = 30 * 24 * 3600
"""How long a login is asked for; clusters may give less. The daemon renews it in time."""

_PATHS = {
    "Namespace": "/api/v1/namespaces/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
}


def path(found: dict[str, Any]) -> str:
    """Where an object of these kinds is."""
    return _PATHS[found["kind"]].format(**{"namespace": "", **found["metadata"]})


def wanted(cluster: Cluster, level: str = "restricted") -> Sequence[dict[str, Any]]:
    """All of them."""
    made = list(rights.objects(cluster.namespace))
    made[0]["metadata"]["labels"] = rights.security(level)
    return (*made, *(rights.beyond(cluster.namespace) if cluster.node else ()))


async def make(admin: Api, cluster: Cluster, level: str = "restricted") -> None:
    """Make them, or have them be what they should be. Raises what Api does."""
    for found in wanted(cluster, level):
        await admin.apply(path(found), found, MANAGER, force=True)


async def login(api: Api, cluster: Cluster, authority: str, *, seconds: int = TOKEN_SECONDS) -> str:
    """A kubeconfig with a new token of the account. `authority` is base64."""
    cluster = replace(cluster, account=rights.ACCOUNT)
    token, _ = await request_token(api, cluster, seconds)
    return kubeconfigs.write(cluster, authority, {"token": token})


async def request_token(api: Api, cluster: Cluster, seconds: int = TOKEN_SECONDS) -> tuple[str, str]:
    """A token, and when it expires (RFC 3339)."""
    where = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts/{rights.ACCOUNT}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    status = (await api.create(where, asked))["status"]
    return str(status["token"]), str(status["expirationTimestamp"])
