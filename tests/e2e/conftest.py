"""The shared installation: initialised once for each engine (2 s), on the engines and the image that all tests share.

Every test runs on root's Podman. Those marked `core` run on the other three engines as well, those marked `clustered`
on a Kubernetes cluster: all that are `core`, but for those marked `unclustered`, which says why. Those whose client
could as well be on another machine run once more as if it were, through a relay (tests/e2e/afar.py): all that are not
marked `here`, which says why; `pytest -m here --collect-only tests/e2e` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.afar import afar
from tests.e2e.clustered import CLUSTER, ServedCluster, on_cluster
from tests.e2e.installation import Installation, installation
from tests.engines import KINDS, Podman, Served
from tests.places import Place
from tests.podman import cache

FROM_AFAR = "-afar"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of a test for each engine that it is to hold on, and one from afar."""
    if "run_on" not in metafunc.fixturenames:
        return
    core = metafunc.definition.get_closest_marker("core")
    runs = list(core.args or KINDS if core else KINDS[:1])
    if metafunc.definition.get_closest_marker("clustered"):
        runs.append(CLUSTER)
    elif core:
        test = metafunc.definition.nodeid
        assert metafunc.definition.get_closest_marker("unclustered"), f"{test} is `core`: `unclustered` is to say why"
    if not metafunc.definition.get_closest_marker("here"):
        test = metafunc.definition.nodeid
        assert {"vs", "own"} & set(metafunc.fixturenames), f"{test} cannot run from afar, so `here` is to say why"
        runs.append(KINDS[0] + FROM_AFAR)
    metafunc.parametrize("run_on", runs, indirect=True, scope="session")


@pytest.fixture(scope="session")
def run_on(request: pytest.FixtureRequest) -> str:
    """One of KINDS, and whether from afar."""
    return str(request.param)


@pytest.fixture(scope="session")
def engine_kind(run_on: str) -> str:
    """Which engine: one of KINDS."""
    return run_on.removesuffix(FROM_AFAR)


@pytest.fixture(scope="session")
def is_afar(run_on: str) -> bool:
    """Whether the client is somewhere else than the daemon."""
    return run_on.endswith(FROM_AFAR)


@pytest.fixture(scope="session")
def served(
    engine_kind: str, podman_socket: str, agent_image: str, request: pytest.FixtureRequest
) -> Served | ServedCluster:
    """The engine, which has the agents' image."""
    if engine_kind == CLUSTER:
        found_cluster: Cluster = request.getfixturevalue("cluster")
        return ServedCluster(found_cluster, request.getfixturevalue("cluster_image"), podman_socket, Place())
    if engine_kind == "podman":
        return Podman(cache() / "podman", Place())
    found: Served = request.getfixturevalue(engine_kind.replace("-", "_"))
    return found


@pytest.fixture(scope="session")
def engine(served: Served) -> str:
    """The engine's socket."""
    return served.socket


@pytest.fixture(scope="session")
def vs(served: Served, is_afar: bool) -> Iterator[Installation]:
    """The installation that most tests share. Who kills or stops its daemon takes one of their own."""
    with _initialised(served, is_afar) as shared:
        yield shared


@pytest.fixture
def own(served: Served, is_afar: bool) -> Iterator[Installation]:
    """An installation for one test, initialised."""
    with _initialised(served, is_afar) as made:
        yield made


@pytest.fixture
def bare(served: Served) -> Iterator[Installation]:
    """An installation for one test, before `init`."""
    if isinstance(served, ServedCluster):
        with on_cluster(served) as clustered:
            yield clustered
        return
    with installation(served.socket, place=served.place) as made:
        yield made


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory of who types the commands: pytest's own ones are closed to others."""
    place = request.getfixturevalue("served").place if "served" in request.fixturenames else Place()
    if place.home is None:
        yield tmp_path
        return
    with TemporaryDirectory(dir=place.home) as made:
        place.give(Path(made))
        yield Path(made)


@pytest.fixture(scope="session")
def demo(vs: Installation) -> str:
    """A vibespace with one agent, claude-1, that tests may use and add to, but neither stop nor delete."""
    vs.ok("create", "demo", "-t", "claude-code")
    return "demo"


@contextmanager
def _initialised(served: Served | ServedCluster, is_afar: bool) -> Iterator[Installation]:
    if isinstance(served, ServedCluster):
        with on_cluster(served) as clustered:
            yield clustered.init()
    elif is_afar:
        with afar(served.socket) as made:
            yield made
    else:
        with installation(served.socket, place=served.place) as made:
            yield made.init()
