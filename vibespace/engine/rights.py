"""What the daemon's account may do: exactly what the engine does, in one namespace. Pure.

Each row says why. The suite runs under this very Role, so a right that is missing here is a test that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ACCOUNT = "vibespace"
"""The service account, its Role and the binding of the two."""


@dataclass(frozen=True)
class Right:
    """Of one resource."""

    group: str
    resource: str
    verbs: Sequence[str]
    because: str
    names: Sequence[str] = ()
    """Only of the objects of these names."""

    @property
    def what(self) -> str:
        """As kubectl calls it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


_ALL = ("get", "list", "watch", "create", "patch", "delete")
_OWN = (*_ALL, "update")
"""Of what nobody else is to change: what somebody has added is taken away."""

RIGHTS = (
    Right("apps", "deployments", _OWN, "each agent is one; what somebody has changed of it is put back"),
    Right("", "pods", ("get", "list", "watch", "create", "delete"), "agents run in them, and so do errands"),
    Right("", "pods/log", ("get",), "'vibespace logs'"),
    Right("", "pods/exec", ("get", "create"), "what an agent uses is read from its control group"),
    Right("", "pods/portforward", ("get", "create"), "the way to an agent whose address leads nowhere"),
    Right("", "persistentvolumeclaims", _ALL, "each vibespace has one"),
    Right("", "secrets", ("get", "list", "create", "patch", "delete"), "each agent's keys and values"),
    Right("", "services", _OWN, "agents find each other by name"),
    Right("networking.k8s.io", "networkpolicies", _OWN, "vibespaces are kept apart"),
    Right("", "events", ("list",), "why something does not start"),
    Right("", "serviceaccounts/token", ("create",), "its own login is renewed before it expires", (ACCOUNT,)),
)

ON_THIS_MACHINE = (
    Right(
        "", "persistentvolumes", ("get", "create", "patch", "delete"), "directories of this machine are shown by them"
    ),
)
"""Beyond the namespace, and only where the cluster is ours, on this machine."""


def role(namespace: str) -> dict[str, Any]:
    """The Role."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _named(namespace),
        "rules": [_rule(right) for right in RIGHTS],
    }


def objects(namespace: str) -> Sequence[dict[str, Any]]:
    """All that an administrator makes: the namespace, the account, its Role, and that it has it."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": security("restricted")}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(namespace)},
        role(namespace),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": _named(namespace),
            "roleRef": reference,
            "subjects": [subject],
        },
    )


def beyond(namespace: str) -> Sequence[dict[str, Any]]:
    """What an administrator makes besides, for ON_THIS_MACHINE."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{ACCOUNT}-{namespace}"}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    named = {"name": f"{ACCOUNT}-{namespace}", "labels": {"app.kubernetes.io/managed-by": "vibespace"}}
    api = "rbac.authorization.k8s.io/v1"
    rules = [_rule(right) for right in ON_THIS_MACHINE]
    return (
        {"apiVersion": api, "kind": "ClusterRole", "metadata": named, "rules": rules},
        {
            "apiVersion": api,
            "kind": "ClusterRoleBinding",
            "metadata": named,
            "roleRef": reference,
            "subjects": [subject],
        },
    )


def security(level: str) -> dict[str, str]:
    """Labels of a namespace in which pods have to keep to `level`."""
    return {"app.kubernetes.io/managed-by": "vibespace", "pod-security.kubernetes.io/enforce": level}


def reviews(namespace: str) -> Iterator[tuple[Right, str, dict[str, Any]]]:
    """For each right and verb the question whether who asks has it."""
    for right in RIGHTS:
        resource, _, sub = right.resource.partition("/")
        for verb in right.verbs:
            asked = {"namespace": namespace, "verb": verb, "group": right.group, "resource": resource}
            asked |= {"subresource": sub} if sub else {}
            asked |= {"name": right.names[0]} if right.names else {}
            yield (
                right,
                verb,
                {
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SelfSubjectAccessReview",
                    "spec": {"resourceAttributes": asked},
                },
            )


def _rule(right: Right) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiGroups": [right.group],
        "resources": [right.resource],
        "verbs": list(right.verbs),
    }
    return {**found, "resourceNames": list(right.names)} if right.names else found


def _named(namespace: str) -> dict[str, Any]:
    return {"name": ACCOUNT, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "vibespace"}}
