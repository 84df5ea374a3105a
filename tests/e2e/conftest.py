"""The shared installation: initialised once (2 s), on the Podman and the agents' image that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, installation
from tests.image.engine import agent_image
from tests.podman import podman_socket

__all__ = ["agent_image", "podman_socket"]


@pytest.fixture(scope="session")
def engine(podman_socket: str, agent_image: str) -> str:
    """The socket of the shared Podman, which has the agents' image."""
    return podman_socket


@pytest.fixture(scope="session")
def vs(engine: str) -> Iterator[Installation]:
    """The installation that most tests share. Who kills or stops its daemon takes one of their own."""
    with installation(engine) as shared:
        yield shared.init()


@pytest.fixture
def own(engine: str) -> Iterator[Installation]:
    """An installation for one test, initialised."""
    with installation(engine) as made:
        yield made.init()


@pytest.fixture
def bare(engine: str) -> Iterator[Installation]:
    """An installation for one test, before `init`."""
    with installation(engine) as made:
        yield made


@pytest.fixture(scope="session")
def demo(vs: Installation) -> str:
    """A vibespace with one agent, claude-1, that tests may use and add to, but neither stop nor delete."""
    vs.ok("create", "demo", "-t", "claude-code")
    return "demo"
