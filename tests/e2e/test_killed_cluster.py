"""The daemon killed with -9 between any two of its calls of a real cluster: the end is what was asked.

What it has changed there by then is all it has: the next daemon knows no more than the cluster and the log.
"""

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

CLAIM, POLICY, SERVICE = "persistentvolumeclaims", "networkpolicies", "services"
SECRET, DEPLOYMENT, POD = "secrets", "deployments", "pods"

CREATE = [f"PATCH {kind}" for kind in (CLAIM, POLICY, SERVICE, SECRET, CLAIM, DEPLOYMENT)]
"""The calls of a create, some of which are made together. The second of the claim notes that there is another home."""
STOP = [f"PATCH {DEPLOYMENT}"]
START = [f"PATCH {kind}" for kind in (CLAIM, POLICY, SERVICE, SECRET, DEPLOYMENT, DEPLOYMENT)]
"""The first of the Deployment's is refused: its replicas were set by another kind of call when it was stopped."""
DELETE = [f"DELETE {kind}" for kind in (DEPLOYMENT, SECRET, POLICY, SERVICE, CLAIM)]
DELETE_AGENT = [f"DELETE {DEPLOYMENT}", f"DELETE {SECRET}", f"POST {POD}", f"DELETE {POD}", f"PATCH {CLAIM}"]
"""The pod is an errand's, which takes away the home."""


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


@pytest.fixture(scope="module")
def rest(killed: OnCluster) -> str:
    """A vibespace that is stopped and started, and gets more agents."""
    killed.ok("create", "rest", "-t", "codex")
    return "rest"


def test_steps(killed: OnCluster, api: ApiRelay) -> None:
    """The steps that these tests cut are all the steps there are."""
    wanted = {
        ("create", "steps", "-t", "codex"): CREATE,
        ("stop", "steps"): STOP,
        ("start", "steps"): START,
        ("agent", "create", "--vibespace", "steps", "-t", "codex"): CREATE,
        ("agent", "delete", "codex-2@steps", "--force"): DELETE_AGENT,
        ("delete", "steps", "--force"): DELETE,
    }
    made = {}
    for words in wanted:
        api.watch_calls()
        killed.ok(*words)
        made[words] = sorted(map(kind, api.calls))
    assert made == {words: sorted(calls) for words, calls in wanted.items()}


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
    assert killed.objects(name) == {"containers": [], "networks": [], "volumes": []}
    assert name not in [found["name"] for found in killed.data("list")["vibespaces"]]
    assert killed.types("--vibespace", name).count("vibespace.deleted") == 1


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(STOP) + 1))
def test_stop(killed: OnCluster, api: ApiRelay, rest: str, step: int, moment: str) -> None:
    """A stop that was cut off ends with everything at rest."""
    interrupted(killed, api, step, moment, "stop", rest)
    assert killed.objects(rest)["containers"] == []
    assert killed.vibespace(rest)["status"]["state"] == "stopped"
    killed.ok("start", rest)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(START) + 1))
def test_start(killed: OnCluster, api: ApiRelay, rest: str, step: int, moment: str) -> None:
    """A start that was cut off ends with everything back, and nothing twice."""
    killed.inside(f"codex-1@{rest}", f"echo {step}-{moment} > ~/file")
    killed.ok("stop", rest)
    before = killed.objects(rest)
    interrupted(killed, api, step, moment, "start", rest)
    after = killed.objects(rest)
    assert len(after["containers"]) == 1
    assert {**after, "containers": []} == before
    assert killed.inside(f"codex-1@{rest}", "cat ~/file") == f"{step}-{moment}"


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", range(1, len(CREATE) + 1))
def test_agent(killed: OnCluster, api: ApiRelay, rest: str, step: int, moment: str) -> None:
    """So does another agent come, once, and go, with its home, and nothing is left of what took that away."""
    name, before = f"cut-{step}-{moment}", killed.objects()
    interrupted(killed, api, step, moment, "agent", "create", "--vibespace", rest, "-n", name)
    assert {kind: len(names) for kind, names in killed.objects(rest).items()} == {
        kind: len(names) + (kind != "networks") for kind, names in before.items()
    }
    assert killed.inside(f"{name}@{rest}", "echo works") == "works"
    interrupted(killed, api, min(step, len(DELETE_AGENT)), moment, "agent", "delete", f"{name}@{rest}", "--force")
    assert killed.objects() == before
    told = killed.types("--vibespace", rest)
    assert told.count("agent.created") == told.count("agent.deleted") + 1


def kind(call: str) -> str:
    """What is called, and of which kind of object."""
    method, path = call.split()
    return f"{method} {path.partition('/namespaces/')[2].split('/')[1]}"
