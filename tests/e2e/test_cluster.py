"""What only a cluster does to an installation: how it is made ready, what it lacks, and what is left of us there."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.clustered import OnCluster, ServedCluster, on_cluster
from tests.e2e.installation import on_terminal, until
from tests.e2e.test_readme import ON_CLUSTERS, commands
from tests.places import Place

pytestmark = pytest.mark.kubernetes

NOT_ENFORCED = "the cluster's network did not enforce NetworkPolicies when 'vibespace init' tried that"
NOTHING: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}


@pytest.fixture
def bare_cluster(cluster: Cluster, cluster_image: str, podman_socket: str) -> Iterator[OnCluster]:
    """An installation before `init`."""
    with on_cluster(ServedCluster(cluster, cluster_image, podman_socket, Place())) as made:
        yield made


def external(at: OnCluster, *more: str, kubeconfig: str = "") -> tuple[str, ...]:
    where = kubeconfig or str(at.served.cluster.admin)
    return ("init", "--external", "--kubeconfig", where, "--namespace", at.namespace, "--image", at.served.image, *more)


def test_a_life(bare_cluster: OnCluster) -> None:
    """From `init` to `uninstall`, of which nothing is left but what an administrator has made."""
    own = bare_cluster.init()
    engine = own.data("status")["host"]["engine"]
    assert (engine["brand"], engine["address"]) == ("kubernetes", f"{own.served.cluster.server}/{own.namespace}")
    kept = own.home / "kubeconfig"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = on_terminal(own, *external(own))  # another login, and nothing else
    assert "Its network does not enforce NetworkPolicies" in again.stdout
    own.ok("init")
    assert own.objects() == NOTHING
    own.ok("create", "demo", "-t", "codex", "--env", "TOKEN=hunter2-hunter2")
    assert own.data("status")["host"]["engine"]["enforces_network_policies"] is False
    guard = own.data("info", "demo")["guard"]
    assert guard == {"held": False, "reason": NOT_ENFORCED}
    assert [each["severity"] for each in own.data("doctor")["findings"] if NOT_ENFORCED in each["message"]] == [
        "warning"
    ]
    assert own.inside("codex-1@demo", "printenv TOKEN; id -u") == "hunter2-hunter2\n1000"
    assert [name for name, found in own.objects().items() if not found] == []
    told = own.ok("events") + own.ok("info", "demo") + own.ok("status") + own.run("doctor").stdout
    token = json.loads(kept.read_text())["users"][0]["user"]["token"]
    assert token not in told
    assert "hunter2" not in told
    assert own.refused("create", "shown", "-t", "codex", "-m", "/srv:/srv")[:2] == (16, "MOUNT_REFUSED")
    assert own.data("uninstall", "--dry-run")["containers"] != []
    own.ok("uninstall", "--force")
    assert own.objects() == NOTHING
    assert not own.home.exists()


def test_what_the_page_for_clusters_shows(bare_cluster: OnCluster, cluster: Cluster) -> None:
    """Every command of it works, typed in this order."""
    own = bare_cluster
    own.namespace = "vibespace"  # which nobody has to name
    here = {"~/.kube/config": str(cluster.admin), "registry.example/vibespace-agent:1": own.served.image}
    for line in commands(ON_CLUSTERS):
        written = ""
        for command in line.split(" | "):
            program, *words = (here.get(word, word) for word in command.split())
            written = own.ok(*words) if program == "vibespace" else cluster.kubectl(*words, input=written)
    own.ok("uninstall", "--force")
    assert own.objects() == NOTHING


def test_kept_by_uninstall(bare_cluster: OnCluster) -> None:
    """`uninstall --keep-data` leaves the claims, and the next `init` brings all of it back."""
    own = bare_cluster.init()
    own.ok("create", "demo", "-t", "codex")
    own.inside("codex-1@demo", "echo kept > /vibespace/file; echo mine > ~/file")
    own.ok("uninstall", "--force", "--keep-data")
    left = own.objects()
    assert (left["containers"], left["networks"], len(left["volumes"])) == ([], [], 2)
    own.ok(*external(own))
    own.ok("start", "demo")
    assert own.inside("codex-1@demo", "cat /vibespace/file ~/file") == "kept\nmine"


def test_who_is_no_administrator(bare_cluster: OnCluster, cluster: Cluster) -> None:
    """Told what an administrator has to make; once that is made, a right to tokens of the account is enough."""
    own = bare_cluster
    cluster.kubectl("create", "namespace", f"of-{own.namespace}")
    user = f"of-{own.namespace}"
    cluster.kubectl("create", "serviceaccount", "user", f"--namespace={user}")
    token = cluster.kubectl("create", "token", "user", f"--namespace={user}").strip()
    config = json.loads(cluster.admin.read_text())
    config["users"][0]["user"] = {"token": token}
    path = own.home / "his"
    path.write_text(json.dumps(config))
    code, reason, sentence = own.refused(*external(own, kubeconfig=str(path)))
    assert (code, reason) == (12, "CLUSTER_FORBIDDEN")
    assert "--print-rbac" in sentence
    cluster.kubectl("apply", "-f", "-", input=own.ok(*external(own, "--print-rbac")))
    binding = ("create", "rolebinding", "tokens", f"--serviceaccount={user}:user", "--clusterrole=edit")
    cluster.kubectl(f"--namespace={own.namespace}", *binding)
    own.ok(*external(own, kubeconfig=str(path)))
    own.ok("create", "demo", "-t", "codex")
    cluster.kubectl("delete", "namespace", user, "--wait=false")


def test_what_is_missing(bare_cluster: OnCluster, cluster: Cluster) -> None:
    """Each is said by name, before anything is recorded."""
    own = bare_cluster
    assert own.refused(*external(own, kubeconfig="/nowhere"))[:2] == (2, "KUBECONFIG_INVALID")
    assert own.refused(*external(own, kubeconfig="/"))[:2] == (2, "KUBECONFIG_INVALID")
    assert own.refused(*external(own, "--context", "other"))[:2] == (2, "KUBECONFIG_INVALID")
    assert own.refused(*external(own, "--namespace", "No_Name"))[:2] == (2, "NAMESPACE_INVALID")
    assert own.refused(*external(own, "--storage-class", "fast"))[1] == "STORAGE_CLASS_MISSING"
    assert own.refused(*external(own, "--image", "localhost/none:1"))[1] == "IMAGE_NOT_FOUND"
    assert own.refused("init", "--engine", "kubernetes")[:2] == (2, "OPTIONS_CLASH")
    assert own.refused("init", "--namespace", "x")[:2] == (2, "OPTIONS_CLASH")
    config = json.loads(cluster.admin.read_text())
    config["users"][0]["user"] = {"token": "hunter2-expired"}
    (own.home / "expired").write_text(json.dumps(config))
    code, reason, sentence = own.refused(*external(own, kubeconfig=str(own.home / "expired")))
    assert (code, reason) == (16, "LOGIN_FAILED")
    assert "hunter2" not in sentence
    annotation = "storageclass.kubernetes.io/is-default-class"
    cluster.kubectl("annotate", "storageclass", "here", f"{annotation}=false", "--overwrite")
    try:
        assert own.refused(*external(own))[1] == "STORAGE_CLASS_MISSING"
    finally:
        cluster.kubectl("annotate", "storageclass", "here", f"{annotation}=true", "--overwrite")
    assert own.refused("list")[:2] == (16, "NOT_INITIALIZED")


def test_what_the_cluster_has_ended(bare_cluster: OnCluster, cluster: Cluster) -> None:
    """It is in the history in the cluster's words, and runs again by itself."""
    own = bare_cluster.init()
    limit = {"type": "Container", "default": {"ephemeral-storage": "20Mi"}}
    body = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "little"}, "spec": {"limits": [limit]}}
    cluster.create(f"/api/v1/namespaces/{own.namespace}/limitranges", body)
    own.ok("create", "demo", "-t", "codex")
    after = str(own.data("status")["cursor"]["position"])
    own.inside("codex-1@demo", "head -c 50000000 /dev/zero > /tmp/much")
    with own.popen("events", "--follow", "--type", "agent.observed", "--after", after) as following:
        assert following.stdout is not None
        assert "(Evicted): Pod ephemeral local storage usage exceeds" in following.stdout.readline()
        until(iter(following.stdout.readline, ""), lambda line: '"running"' in line)
        following.kill()
    assert own.inside("codex-1@demo", "ls /tmp/much 2>/dev/null || echo gone") == "gone"
    own.ok("stop", "demo")
    assert own.objects()["containers"] == []


def test_the_cluster_is_away(bare_cluster: OnCluster, cluster: Cluster) -> None:
    """What is there is shown as unknown, with the reason, never as stopped; it comes back, and nothing had stopped."""
    own = bare_cluster.init()
    own.ok("create", "demo", "-t", "codex")
    own.inside("codex-1@demo", "nohup sleep 1000 >/dev/null 2>&1 & echo $! > ~/pid")
    cluster.kill("kube-apiserver")
    try:
        words = ["events", "--follow", "--type", "host.engine_unreachable"]
        with own.popen(*words) as following:
            assert following.stdout is not None
            assert "does not answer" in following.stdout.readline()
            following.kill()
        assert own.vibespace("demo")["status"]["state"] == "unknown"
        assert own.run("exec", "codex-1@demo", "--", "true").returncode == 15
        after = str(own.data("status")["cursor"]["position"])
    finally:
        cluster.serve("kube-apiserver")
        cluster.wait_for_api()
    with own.popen("events", "--follow", "--type", "host.engine_reachable", "--after", after) as following:
        assert following.stdout is not None
        following.stdout.readline()
        following.kill()
    assert own.vibespace("demo")["status"]["state"] == "running"
    assert own.inside("codex-1@demo", "kill -0 $(cat ~/pid) && echo runs") == "runs"
