"""A cluster of our own on this machine: all of it but k3s itself, in whose place the tests' cluster answers."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.clustered import OnCluster, ServedCluster
from tests.places import Place
from vibespace.client import Client
from vibespace.setup import processes
from vibespace.state import State
from vibespace.v1.system_pb2 import HostEngine, InitializeRequest, InitializeResponse

pytestmark = pytest.mark.kubernetes

K3S = """\
#!{python}
import json, os, subprocess, sys, time
words = [word for word in sys.argv[1:] if not word.startswith("--data-dir") or sys.argv[1] == "server"]
if words[0] == "server":
    given = dict(word.partition("=")[::2] for word in words[1:])
    os.makedirs(given["--data-dir"], exist_ok=True)
    written = open({admin!r}).read()
    with open(given["--write-kubeconfig"], "w") as file:
        file.write(written)
    os.chmod(given["--write-kubeconfig"], int(given["--write-kubeconfig-mode"], 8))
    time.sleep(3600)
elif words[:3] == ["ctr", "images", "import"]:
    with open(words[3], "rb") as tar:
        sys.exit(subprocess.run({ctr!r} + ["images", "import", "-"], stdin=tar, stdout=subprocess.DEVNULL).returncode)
else:
    sys.exit(2)
"""


class BareMetal(OnCluster):
    """See `OnCluster`. It has the namespace that every cluster of our own has."""

    def __init__(self, served: ServedCluster) -> None:
        super().__init__(served)
        self.namespace = "vibespace"

    def close(self) -> None:
        self.run("uninstall", "--force")
        super().close()


@pytest.fixture
def own(cluster: Cluster, cluster_image: str, podman_socket: str) -> Iterator[BareMetal]:
    """An installation before `init`; the namespace of that name, which another test may have left, goes first."""
    cluster.kubectl("delete", "namespace", "vibespace", "--ignore-not-found")
    made = BareMetal(ServedCluster(cluster, cluster_image, podman_socket, Place()))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def k3s(cluster: Cluster, tmp_path: Path) -> Path:
    """What is given with --k3s."""
    path = tmp_path / "k3s"
    path.write_text(K3S.format(python=sys.executable, admin=str(cluster.admin), ctr=list(cluster._ctr())))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def serving(own: BareMetal) -> list[str]:
    """The processes that stand in for its k3s."""
    found = (processes.words(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [words[1] for words in found if words[1:3] == [str(own.home / "bin/k3s"), "server"]]


def kubeconfigs(own: BareMetal) -> list[str]:
    """What leads to the cluster, and is not its own: an administrator's is kept nowhere."""
    found = (path.relative_to(own.home) for path in own.home.rglob("*kubeconfig*"))
    return sorted(str(path) for path in found if path.parts[0] != "k3s")


def test_from_nothing_to_nothing(own: BareMetal, k3s: Path, tmp_path: Path) -> None:
    """`init` says what it does as root, directories of this machine are shown, running agents are told of an image that
    the node was given since, and `uninstall` leaves nothing.
    """
    done = own.run("init", "--quiet", "--bare-metal", "--k3s", str(k3s))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("As root, which ") == 3
    assert "flock -n 9 || exit 0\n" in done.stderr
    own.log_id = own.data("status")["cursor"]["log_id"]
    engine = own.data("status")["host"]["engine"]
    assert (engine["brand"], engine["private"]) == ("kubernetes", True)
    assert any("/etc/rancher" in line for line in own.data("status")["outside"])
    assert f"--data-dir={own.home}/k3s kubectl" in (own.home / "bin/kubectl").read_text()
    assert kubeconfigs(own) == ["kubeconfig"]
    own.ok("init", "--bare-metal", "--k3s", str(k3s))  # again: nothing is missing
    assert len(serving(own)) == 1
    where = ("--external", "--kubeconfig", str(own.served.cluster.admin), "--namespace", "another")
    for words in (where, ("--engine", "containers")):
        assert own.refused("init", *words)[:2] == (16, "ENGINE_CHOSEN")
    assert "another" not in own.served.cluster.kubectl("get", "namespaces")
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    data.chmod(0o777)
    (data / "file").write_text("hello")
    given = own.data("status")["host"]["image"]
    request = InitializeRequest(engine=HostEngine(**engine), image=own.served.image)
    Client(State(own.home)).unary("SystemService/Initialize", request, InitializeResponse)
    own.ok("create", "demo", "-t", "codex", "-m", f"{data}:/mnt/data")
    assert own.inside("codex-1@demo", "cat /mnt/data/file; echo new > /mnt/data/new") == "hello"
    assert (data / "new").read_text() == "new\n"
    own.served.cluster.ctr("images", "remove", given)
    answer = own.data("image", "upgrade")  # hands it over again, as one of a newer version would be
    assert (answer["image"], answer["previous_image"]) == (given, own.served.image)
    status = own.agent("codex-1@demo")["status"]
    assert (status["image"], status["next_image"]) == (own.served.image, given)
    own.ok("stop", "demo")
    own.ok("start", "demo")
    status = own.agent("codex-1@demo")["status"]
    assert (status["image"], status["next_image"]) == (given, "")
    taken = own.run("uninstall", "--force")
    assert taken.returncode == 0, taken.stderr
    assert "As root, which ends what the cluster runs:\n" in taken.stderr
    assert serving(own) == []
    assert not own.home.exists()
    assert own.objects() == {"containers": [], "networks": [], "volumes": []}


def test_an_init_that_came_to_no_end(own: BareMetal, k3s: Path) -> None:
    """One that has begun the cluster, and found no image to give it, is undone by `uninstall` as any other."""
    refused = own.run("init", "--bare-metal", "--k3s", str(k3s), "--base", "/nowhere.tar")
    assert refused.returncode != 0
    assert len(serving(own)) == 1
    assert kubeconfigs(own) == []
    assert own.data("status")["host"]["initialized"] is False
    own.ok("uninstall", "--force")
    assert serving(own) == []
    assert not own.home.exists()


def test_what_is_said_wrong(own: BareMetal, k3s: Path) -> None:
    """A program that is none, and options that speak of another cluster, are refused before anything is made."""
    assert own.refused("init", "--bare-metal", "--k3s", "/nowhere")[:2] == (10, "K3S_MISSING")
    assert own.refused("init", "--k3s", str(k3s))[:2] == (2, "OPTIONS_CLASH")
    assert own.refused("init", "--bare-metal", "--external")[:2] == (2, "OPTIONS_CLASH")
    assert own.refused("init", "--bare-metal", "--namespace", "x")[:2] == (2, "OPTIONS_CLASH")
