"""A cluster is looked at before anything is made, and what its user should know is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.engine import apiserver
from vibespace.engine import bodies
from vibespace.engine import cluster as kubeconfigs
from vibespace.engine.base import Identity
from vibespace.engine.cluster import Cluster
from vibespace.engine.errands import Errands
from vibespace.engine.kubeapi import Api
from vibespace.errors import FailedPrecondition, InvalidArgument, Unavailable
from vibespace.setup import cluster
from vibespace.setup.cluster import Asked, Found
from vibespace.setup.engine import Choice
from vibespace.state import State

CLASS = {"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}


class Server:
    """An API server of `version`, whose namespaces enforce `level`; it notes what is changed."""

    def __init__(self, version: str = "v1.34.3+k3s1", level: str = "restricted", *, sees_nodes: bool = True) -> None:
        """`sees_nodes`: who asks may list them."""
        self.changed: list[str] = []
        self._version, self._level, self._sees_nodes = version, level, sees_nodes

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"gitVersion": self._version})
        if request.path.endswith("/nodes") and not self._sees_nodes:
            return apiserver.refusal(403, "Forbidden", "nodes is forbidden")
        if request.path.endswith("/nodes"):
            return apiserver.listed("1")
        if request.path.endswith("/storageclasses"):
            return apiserver.listed("1", CLASS)
        if request.method == "GET":
            labels = {"pod-security.kubernetes.io/enforce": self._level} if self._level else {}
            return web.json_response({"metadata": {"name": "there", "labels": labels}})
        self.changed.append(request.path)
        if request.path.endswith("/token"):
            return web.json_response({"status": {"token": "a.b.c"}})
        return web.json_response(await request.json())


async def prepared(
    server: Server, at: Path, chosen: Choice | None = None, before: Cluster | None = None, **asked: Any
) -> Found:
    async with apiserver.serving(server.answer, at) as kubeconfig:
        return await cluster.prepare(Asked(kubeconfig=str(kubeconfig), **asked), chosen, before, {}, lambda _text: None)


@pytest.mark.parametrize("version", ["v1.24.17", "v1.9.0", "v0.1.0", ""])
async def test_too_old(tmp_path: Path, version: str) -> None:
    """It is refused by its version, before anything is made."""
    server = Server(version)
    with pytest.raises(FailedPrecondition) as refused:
        await prepared(server, tmp_path)
    assert refused.value.reason == "CLUSTER_TOO_OLD"
    assert "1.25" in refused.value.message
    assert server.changed == []


@pytest.mark.parametrize("version", ["v1.25.0", "v1.30.4-gke.100", "v2.0.0-alpha.1"])
async def test_new_enough(tmp_path: Path, version: str) -> None:
    """Whatever its maker has added to the number."""
    server = Server(version)
    await prepared(server, tmp_path)
    assert "/api/v1/namespaces/vibespace/serviceaccounts/vibespace/token" in server.changed


async def test_another_than_before(tmp_path: Path) -> None:
    """Where another cluster or namespace was chosen, nothing is made in this one."""
    server = Server()
    with pytest.raises(FailedPrecondition) as refused:
        await prepared(server, tmp_path, Choice("kubernetes", "https://elsewhere/vibespace", private=False))
    assert refused.value.reason == "ENGINE_CHOSEN"
    assert "https://elsewhere/vibespace" in refused.value.message
    assert server.changed == []


async def test_what_is_not_asked_for_again_stays(tmp_path: Path) -> None:
    """Who makes a new login need not remember what the first one was made with; what is asked for counts."""
    before = Cluster("", "team", storage_class="fast", pull_secret="pull", closed=("192.0.2.7/32",))
    again = (await prepared(Server(), tmp_path, before=before)).cluster
    assert (again.namespace, again.storage_class, again.pull_secret) == ("team", "fast", "pull")
    other = (await prepared(Server(), tmp_path, before=before, pull_secret="other")).cluster
    assert (other.storage_class, other.pull_secret) == ("fast", "other")
    none = (await prepared(Server(), tmp_path, before=before, pull_secret="", storage_class="")).cluster
    assert (none.storage_class, none.pull_secret) == ("", "")


async def test_a_refused_login(tmp_path: Path) -> None:
    """Who the cluster does not know has said so now: it is not the daemon's login that has expired."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return apiserver.refusal(401, "Unauthorized", "Unauthorized")

    async with apiserver.serving(answer, tmp_path) as kubeconfig:
        with pytest.raises(FailedPrecondition) as refused:
            await cluster.prepare(Asked(kubeconfig=str(kubeconfig)), None, None, {}, lambda _text: None)
    assert refused.value.reason == "LOGIN_FAILED"
    assert str(kubeconfig) in refused.value.message


async def test_a_secret_of_no_name(tmp_path: Path) -> None:
    """It is refused before anybody is asked."""
    server = Server()
    with pytest.raises(InvalidArgument) as refused:
        await prepared(server, tmp_path, pull_secret="B@d")
    assert refused.value.reason == "PULL_SECRET_INVALID"
    assert server.changed == []


async def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    """The kubeconfig of before is there again, or none; what holds is there for the daemon."""
    state, found = State(tmp_path), Found(Cluster("", "n"), Identity("kubernetes", "", ""), "new", ())
    for before in (None, "old"):
        if before:
            state.kubeconfig.write_text(before)
        with pytest.raises(Unavailable), cluster.keeping(state, found):
            _refuse(state)
        assert (state.kubeconfig.read_text() if state.kubeconfig.exists() else None) == before
    with cluster.keeping(state, found):
        pass
    assert state.kubeconfig.read_text() == "new"


def _refuse(state: State) -> None:
    assert state.kubeconfig.read_text() == "new"
    raise Unavailable("X", "No.")


@pytest.mark.parametrize(
    ("told", "taken"),
    [("{at}/none:{at}/one", "one"), ("{at}/one:{at}/two", "one"), ("", None), ("{at}/pipe", None)],
)
async def test_which_file(tmp_path: Path, told: str, taken: str | None) -> None:
    """Of several that KUBECONFIG names the first that is there; what is no file is refused."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"no kubeconfig {name}")
    environ = {"KUBECONFIG": told.replace("{at}", str(tmp_path))}
    with pytest.raises(InvalidArgument) as refused:
        await cluster.prepare(Asked(), None, None, environ, lambda _text: None)
    assert (f"{tmp_path}/{taken} cannot be used: it is no kubeconfig" in refused.value.message) == bool(taken)


@pytest.mark.parametrize("sees", [True, False])
async def test_who_may_not_see_nodes_closes_those_of_before(tmp_path: Path, *, sees: bool) -> None:
    """They are as they were, for all that is known."""
    before = Cluster("", "vibespace", closed=("192.0.2.7/32",))
    found = await prepared(Server(sees_nodes=sees), tmp_path, before=before)
    assert found.cluster.closed == (["127.0.0.1/32"] if sees else ["127.0.0.1/32", "192.0.2.7/32"])


@pytest.mark.parametrize("name", ["No_Name", "-a", "a-", "a" * 64, "a.b", "namespace-\N{ARABIC-INDIC DIGIT TWO}"])
async def test_what_is_no_name(tmp_path: Path, name: str) -> None:
    """What Kubernetes would refuse is refused before it is asked, also digits that are not 0 to 9."""
    server = Server()
    with pytest.raises(InvalidArgument) as refused:
        await prepared(server, tmp_path, namespace=name)
    assert refused.value.reason == "NAMESPACE_INVALID"
    assert server.changed == []


@pytest.mark.parametrize("name", ["a", "team-7", "7", "a" * 63])
async def test_names(tmp_path: Path, name: str) -> None:
    """All that Kubernetes takes."""
    server = Server()
    await prepared(server, tmp_path, namespace=name)
    assert f"/api/v1/namespaces/{name}/serviceaccounts/vibespace" in server.changed


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("restricted", "Pods there must be 'restricted': 'create --sudo' needs 'baseline'"),
        ("baseline", "Pods there must be 'baseline'"),
        ("privileged", "Pods there may be 'privileged': nothing is enforced"),
        ("", "Nothing is enforced there on pods"),
    ],
)
async def test_pod_security(tmp_path: Path, level: str, told: str) -> None:
    """What is enforced there is said, whichever it is."""
    notes = (await prepared(Server(level=level), tmp_path)).notes
    [note] = notes
    assert note.startswith(told)


@pytest.mark.parametrize(("node", "hint"), [("here", "init --bare-metal"), ("", "See that it runs")])
async def test_one_that_is_away(tmp_path: Path, node: str, hint: str) -> None:
    """Where it is this machine's, nobody may have started it after a boot: what does is said."""
    away = Cluster("http://127.0.0.1:9", "vibespace", node=node)
    (tmp_path / "kubeconfig").write_text(kubeconfigs.write(away, "", {"token": "t"}))
    with pytest.raises(Unavailable) as refused:
        await cluster.identity(tmp_path / "kubeconfig")
    assert hint in refused.value.hint


class Pods:
    """Where errands of an `init` that was killed are left; those that are made end at once, and well."""

    def __init__(self, *left: dict[str, Any]) -> None:
        self.there = {pod["metadata"]["name"]: pod for pod in left}
        self.made: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        if request.method == "POST":
            pod = {**await request.json(), "status": {"phase": "Succeeded"}}
            self.made.append(pod)
            self.there[pod["metadata"]["name"]] = pod
            return web.json_response(pod)
        if request.method == "DELETE":
            return web.json_response(self.there.pop(name))
        if name == "log":
            return web.Response(text='{"has": "all"}\n')
        if "watch" in request.query:
            return await apiserver.events(request)
        return apiserver.listed("1", *(pod for pod in self.there.values() if _selected(request, pod)))


def _selected(request: web.Request, pod: dict[str, Any]) -> bool:
    """As a label selector says it."""
    labels = pod["metadata"]["labels"]
    for term in request.query["labelSelector"].split(","):
        name, sign, value = term.partition("!=") if "!=" in term else term.partition("=")
        if (labels.get(name) == value) is (sign == "!=") if sign else name not in labels:
            return False
    return True


def errand(name: str, log_id: str, word: str) -> dict[str, Any]:
    labels = {bodies.LOG: log_id, "vibespace.errand": word, "vibespace.run": "another"}
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Pending"}}


async def test_what_a_killed_init_has_left(tmp_path: Path) -> None:
    """The next one takes it away; of another log, and of a daemon at work, it takes nothing."""
    pods = Pods(errand("ours", "log", "init"), errand("its", "another-log", "init"), errand("works", "log", "size"))
    state = State(tmp_path)
    async with apiserver.serving(pods.answer, tmp_path) as kubeconfig:
        assert kubeconfig == state.kubeconfig
        await cluster.check_image(state, "log", "image:1", lambda _text: None)
    assert sorted(pods.there) == ["its", "works"]
    assert [made["metadata"]["labels"][bodies.LOG] for made in pods.made] == ["log"]


async def test_a_network_that_cannot_be_tried(tmp_path: Path) -> None:
    """That is no refusal, and neither yes nor no; what a killed one has left goes, and so does what this one makes."""
    pods = Pods(errand("tried", "log", "init"), errand("its", "another-log", "init"), errand("works", "log", "size"))
    async with apiserver.serving(pods.answer, tmp_path):
        tried = await cluster.try_network(State(tmp_path), "log", "image:1", lambda _text: None)
    assert tried.enforces is None  # for the pod that was to listen has ended
    assert "could not be tried: 'init' failed in the cluster" in tried.note
    assert {made["kind"] for made in pods.made} == {"NetworkPolicy", "Pod"}
    assert sorted(pods.there) == ["its", "works"]


async def test_a_daemon_leaves_it(tmp_path: Path) -> None:
    """An `init` may just be at work; what a daemon has left that was killed it takes away."""
    pods = Pods(errand("ours", "log", "init"), errand("old", "log", "size"), errand("its", "another-log", "init"))
    async with apiserver.serving(pods.answer, tmp_path) as kubeconfig:
        api, found = Api(kubeconfig), kubeconfigs.read(kubeconfig)
        try:
            await Errands(api, "log", found).clear()
        finally:
            await api.close()
    assert [*pods.there] == ["ours", "its"]


def test_what_an_administrator_makes() -> None:
    """For clusters of others, and named as they call it."""
    kinds = [made["kind"] for made in cluster.rbac("team")]
    assert kinds == ["Namespace", "ServiceAccount", "Role", "RoleBinding"]
    assert cluster.rbac("")[0]["metadata"]["name"] == Cluster("", "vibespace").namespace
