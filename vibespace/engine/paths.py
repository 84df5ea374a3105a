"""Where in the API of a cluster the kinds of objects are that we use.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

_CORE = "/api/v1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"

NAMESPACES = f"{_CORE}/namespaces"
NODES = f"{_CORE}/nodes"
VOLUMES = f"{_CORE}/persistentvolumes"
CLUSTER_ROLES = f"{_RBAC}/clusterroles"
CLUSTER_ROLE_BINDINGS = f"{_RBAC}/clusterrolebindings"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Paths:
    """Of one namespace."""

    def __init__(self, namespace: str) -> None:
        core, rbac = f"{NAMESPACES}/{namespace}", f"{_RBAC}/namespaces/{namespace}"
        self.pods = f"{core}/pods"
        self.claims = f"{core}/persistentvolumeclaims"
        self.secrets = f"{core}/secrets"
        self.services = f"{core}/services"
        self.events = f"{core}/events"
        self.accounts = f"{core}/serviceaccounts"
        self.roles = f"{rbac}/roles"
        self.role_bindings = f"{rbac}/rolebindings"
        self.deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self.networks = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
