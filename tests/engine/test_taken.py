"""A real cluster takes what the golden files have: by server-side dry run, where "restricted" is enforced."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.clusters import Prepared
from tests.engine.test_manifests import made

pytestmark = pytest.mark.kubernetes


def dry(prepared: Prepared, body: Mapping[str, Any]) -> str:
    """What the cluster says, which does nothing. Raises AssertionError where it refuses."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "namespace"}
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename=-")
    asked = json.dumps({**body, "metadata": metadata})
    return prepared.cluster.kubectl(f"--namespace={prepared.namespace}", *words, input=asked)


@pytest.mark.parametrize("name", made())
def test_it_is_taken(prepared: Prepared, name: str) -> None:
    """Every field is known, and has a value that it may have."""
    found = made()[name]
    for body in found if isinstance(found, list) else [found]:
        assert "(server dry run)" in dry(prepared, body)


@pytest.mark.parametrize("name", ["deployment", "deployment-full"])
def test_its_pods_are_restricted(prepared: Prepared, name: str) -> None:
    """But for those that asked for sudo, which the cluster refuses by that word."""
    template = made()[name]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "dry"}}
    if name == "deployment":
        assert "(server dry run)" in dry(prepared, pod)
        return
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted'):
        dry(prepared, pod)
