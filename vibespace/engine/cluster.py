"""Which cluster, and what of it is ours: told by one kubeconfig, which `init` writes and the daemon reads.

What `init` has found out beside the way in lies in the context of that file as an extension, which is the place that
kubeconfigs have for it: one file is all there is, and nothing in it can be of another cluster than the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vibespace.engine.base import KUBERNETES, Identity
from vibespace.engine.kubeapi import Api
from vibespace.engine.login import EXTENSION
from vibespace.errors import FailedPrecondition


@dataclass(frozen=True)
class Cluster:
    """What the engine needs to know beside how to speak with it."""

    server: str
    namespace: str
    account: str = ""
    """The service account that we act as, and whose token we renew; empty where a person's own credentials are used."""
    storage_class: str = ""
    """Empty: the cluster's default."""
    storage_bytes: int = 10 << 30
    """Of a vibespace that asked for nothing."""
    pull_secret: str = ""
    """Name of the secret by which images are pulled."""
    node: str = ""
    """The one node, where it is this machine: its directories may be shown to agents."""
    closed: Sequence[str] = ()
    """Addresses of nodes and API server, as far as they are known: no agent is to reach them."""

    @property
    def address(self) -> str:
        """For people, and to tell one from another."""
        return f"{self.server}/{self.namespace}"


def read(path: Path) -> Cluster:
    """What `init` wrote there. Raises FailedPrecondition KUBECONFIG_MISSING or KUBECONFIG_INVALID."""
    try:
        told = json.loads(path.read_text())
        name = told["current-context"]
        context = next(each["context"] for each in told["contexts"] if each["name"] == name)
        extension = next(each["extension"] for each in context["extensions"] if each["name"] == EXTENSION)
        known = {field.name for field in fields(Cluster)}
        return Cluster(**{key: value for key, value in extension.items() if key in known})
    except FileNotFoundError as e:
        raise FailedPrecondition(
            "KUBECONFIG_MISSING", f"There is no {path}, which leads to the cluster.", hint="'vibespace init' makes it."
        ) from e
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as e:
        hint = "Move it away; 'vibespace init --external' makes it again."
        raise FailedPrecondition("KUBECONFIG_INVALID", f"{path} is not what 'init' wrote.", hint=hint) from e


def write(cluster: Cluster, authority: str, user: Mapping[str, str]) -> str:
    """The kubeconfig, as JSON, which is YAML. `authority` is base64; `user` what a kubeconfig's user has."""
    served: dict[str, Any] = {"server": cluster.server}
    if authority:
        served["certificate-authority-data"] = authority
    context = {
        "cluster": KUBERNETES,
        "user": KUBERNETES,
        "namespace": cluster.namespace,
        "extensions": [{"name": EXTENSION, "extension": asdict(cluster)}],
    }
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": KUBERNETES,
        "clusters": [{"name": KUBERNETES, "cluster": served}],
        "users": [{"name": KUBERNETES, "user": dict(user)}],
        "contexts": [{"name": KUBERNETES, "context": context}],
    }
    return json.dumps(found, indent=1) + "\n"


async def identify(api: Api, cluster: Cluster) -> Identity:
    """Which version answers there. Raises what Api does."""
    version = str((await api.get("/version")).get("gitVersion", ""))
    return Identity(KUBERNETES, version, cluster.address, unenforced_limits=("processes",))
