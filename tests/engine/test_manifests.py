"""What a cluster is told, as golden files: people read them, and a change of one makes every agent's pod anew.

`python -m tests.engine.test_manifests` writes them; read the difference.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vibespace.engine import enforcement, files, manifests, rights
from vibespace.engine.base import AgentSpec, HostMount, Resources
from vibespace.engine.cluster import Cluster

GOLDENS = Path(__file__).parents[1] / "goldens/manifests"
LOG = "00000000-0000-4000-8000-000000000001"
TRIED = {"vibespace.log": LOG, "vibespace.errand": "trial", "vibespace.run": "run"}
CLUSTER = Cluster("https://192.0.2.7:6443", "vibespace", closed=("192.0.2.7/32", "10.0.0.5/32", "2001:db8::7/128"))

PLAIN = AgentSpec(
    agent_uid="00000000-0000-4000-8000-00000000000a",
    agent="claude-1",
    vibespace_uid="00000000-0000-4000-8000-00000000000b",
    vibespace="demo",
    data_uid="00000000-0000-4000-8000-00000000000c",
    image="localhost/vibespace-agent:0",
    host_key=b"a host key",
    authorized_key="ssh-ed25519 AAAA key",
    environment={"TOKEN": "hunter2"},
)
FULL = replace(
    PLAIN,
    sudo=True,
    logins="codex",
    mounts=(HostMount("/srv/data", "/mnt/data", read_only=True),),
    resources=Resources(250, 500, 64 << 20, 128 << 20, 100),
    allow=("192.168.1.10/32:5432",),
    storage_bytes=1 << 30,
)


def made() -> Mapping[str, Any]:
    """By the name of the golden file."""
    asked = replace(CLUSTER, storage_class="fast", pull_secret="registry", node="node-1")
    return {
        "deployment": manifests.deployment(LOG, PLAIN, CLUSTER),
        "deployment-full": manifests.deployment(LOG, FULL, asked),
        "deployment-stopped": manifests.deployment(LOG, replace(PLAIN, running=False), CLUSTER),
        "claim": manifests.claim(LOG, PLAIN, CLUSTER),
        "claim-full": manifests.claim(LOG, FULL, asked),
        "secret": manifests.secret(LOG, PLAIN),
        "service": manifests.service(LOG, PLAIN),
        "network": manifests.network(LOG, PLAIN, CLUSTER),
        "network-allowed": manifests.network(LOG, FULL, CLUSTER),
        "network-closed": manifests.network(LOG, replace(FULL, closed=True, allow=()), CLUSTER),
        "network-trial": enforcement.policy("vs-trial-1", LOG, TRIED),
        "mount": list(manifests.shown(LOG, FULL, 0, asked)),
        "errand": manifests.errand(LOG, "removal", "run", "vs-removal-1", "rm x", PLAIN.image, PLAIN.data_uid, CLUSTER),
        "rights": [*rights.objects("vibespace"), *rights.beyond("vibespace")],
    }


@pytest.mark.parametrize("name", made())
def test_as_the_golden_file(name: str) -> None:
    """It is what it was."""
    assert made()[name] == json.loads((GOLDENS / f"{name}.json").read_text())


def test_all_golden_files_are_of_something() -> None:
    """None is left of what there is no more."""
    assert {path.stem for path in GOLDENS.iterdir()} == made().keys()


def test_no_secret_outside_the_secret() -> None:
    """Keys and values are in the Secret, and in nothing else that a cluster is told."""
    told = json.dumps({name: body for name, body in made().items() if name != "secret"})
    for value in (PLAIN.host_key, b"hunter2", PLAIN.authorized_key.encode()):
        assert value.decode() not in told
        assert base64.b64encode(value).decode() not in told
    kept = manifests.secret(LOG, PLAIN)["data"]["environment"]
    assert base64.b64decode(kept) == files.exports(PLAIN.environment)


def test_what_makes_no_other_pod() -> None:
    """A newer image, a larger volume, and what the network leads to, do not end an agent that runs."""
    other = replace(PLAIN, image="other", storage_bytes=1 << 30, allow=("192.168.1.10/32:5432",), running=False)
    told = [manifests.deployment(LOG, spec, CLUSTER)["metadata"]["annotations"] for spec in (PLAIN, other)]
    assert told[0] == told[1]


def test_names_fit() -> None:
    """The longest names that there may be are names that Kubernetes takes."""
    long = replace(PLAIN, agent="a" * 30, mounts=(HostMount("/srv", "/mnt"),))
    assert len(manifests.mount_name(long, 0)) <= 63
    names = [manifests.service(LOG, long)["metadata"]["name"], manifests.claim_name(long.data_uid)]
    assert all(len(name) <= 63 for name in names)


if __name__ == "__main__":
    GOLDENS.mkdir(exist_ok=True)
    for path in GOLDENS.iterdir():
        path.unlink()
    for name, body in made().items():
        (GOLDENS / f"{name}.json").write_text(json.dumps(body, indent=1) + "\n")
