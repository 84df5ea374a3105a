"""The shared installation: initialised once for each engine (2 s), on the engines and the image that all tests share.

Every test runs on root's Podman. Those marked `core` run on the other three engines as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, installation
from tests.engines import KINDS, Podman, Served
from tests.places import Place
from tests.podman import cache


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of a test for each engine that it is to hold on."""
    told = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "engine_kind" in metafunc.fixturenames and "engine_kind" not in told:
        core = metafunc.definition.get_closest_marker("core")
        metafunc.parametrize("engine_kind", KINDS if core else KINDS[:1], indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine_kind(request: pytest.FixtureRequest) -> str:
    """Which engine: one of KINDS."""
    return str(request.param)


@pytest.fixture(scope="session")
def served(engine_kind: str, podman_socket: str, agent_image: str, request: pytest.FixtureRequest) -> Served:
    """The engine, which has the agents' image."""
    if engine_kind == "podman":
        return Podman(cache() / "podman", Place())
    found: Served = request.getfixturevalue(engine_kind.replace("-", "_"))
    return found


@pytest.fixture(scope="session")
def engine(served: Served) -> str:
    """The engine's socket."""
    return served.socket


@pytest.fixture(scope="session")
def vs(served: Served) -> Iterator[Installation]:
    """The installation that most tests share. Who kills or stops its daemon takes one of their own."""
    with installation(served.socket, place=served.place) as shared:
        yield shared.init()


@pytest.fixture
def own(served: Served) -> Iterator[Installation]:
    """An installation for one test, initialised."""
    with installation(served.socket, place=served.place) as made:
        yield made.init()


@pytest.fixture
def bare(served: Served) -> Iterator[Installation]:
    """An installation for one test, before `init`."""
    with installation(served.socket, place=served.place) as made:
        yield made


@pytest.fixture(scope="session")
def demo(vs: Installation) -> str:
    """A vibespace with one agent, claude-1, that tests may use and add to, but neither stop nor delete."""
    vs.ok("create", "demo", "-t", "claude-code")
    return "demo"
