"""The four engines that tests run on, each with the agents' image, kept between runs with what was loaded there.

Beside the shared Podman of tests/podman.py: a Podman of an ordinary user, a Docker in a network of its own, and a
Docker of that user. Each starts in a second; once, it takes the image from the shared Podman, in half a minute.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

from tests.dockerd import Dockerd
from tests.image.engine import base
from tests.places import Apart, Place, User, apart, user
from tests.podman import cache, purge
from vibespace.engine.api import Api
from vibespace.errors import NotFound
from vibespace.setup import context, podman, processes
from vibespace.setup.base import identity
from vibespace.setup.image import NAME

KINDS = ("podman", "podman-rootless", "docker", "docker-rootless")

CALL = "import pathlib, sys; from vibespace.setup import podman; at = pathlib.Path(sys.argv[1]); podman.{}"


class Served(Protocol):
    """One engine under test."""

    @property
    def socket(self) -> str:
        """Its address."""

    @property
    def place(self) -> Place:
        """Where those who use it run."""

    def serve(self) -> None:
        """Return when it answers, started if need be."""

    def guard(self) -> None:
        """What the daemon does after every start of a container."""

    def kill(self) -> None:
        """Let the engine die as by a crash; its containers go on."""

    def stop(self) -> None:
        """End it."""


class Podman:
    """A Podman as `init` makes them, here or for a user."""

    def __init__(self, directory: Path, place: Place) -> None:
        self.directory = directory
        self.socket = str(podman.socket_path(directory))
        self.place = place

    def serve(self) -> None:
        self._call("ensure(at)")

    def guard(self) -> None:
        if isinstance(self.place, User):
            self._call("guard(podman.environment(at))")

    def kill(self) -> None:
        for pid in processes.having("service", f"unix://{self.socket}"):
            with suppress(ProcessLookupError):  # a user's is two, and one may take the other with it
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self._call("stop(at)")

    def _call(self, call: str) -> None:
        self.place.run(sys.executable, "-c", CALL.format(call), str(self.directory))


@pytest.fixture(scope="session")
def unprivileged(agent_image: str) -> Iterator[User]:
    """The user, whose home has a space in its name."""
    with user(cache() / "unprivileged" / "a home", Path(base())) as made:
        yield made


@pytest.fixture(scope="session")
def apart_network() -> Iterator[Apart]:
    """A network for Docker, whose firewall rules would stay behind in ours."""
    with apart() as made:
        yield made


@pytest.fixture(scope="session")
def podman_rootless(unprivileged: User, podman_socket: str, agent_image: str) -> Iterator[Served]:
    """The user's Podman, which is also the one that his `podman` speaks of."""
    at = unprivileged.home / "podman"
    variables = {
        "CONTAINERS_CONF": str(at / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(at / "storage.conf"),
        "XDG_RUNTIME_DIR": str(at / "session"),
        "TMPDIR": str(at / "work"),
    }
    his = User(unprivileged.home, unprivileged.process, variables)
    with _shared("podman-rootless", Podman(at, his), podman_socket) as served:
        yield served


@pytest.fixture(scope="session")
def docker(apart_network: Apart, podman_socket: str, agent_image: str) -> Iterator[Served]:
    """A Docker that root runs."""
    with _shared("docker", Dockerd(cache() / "docker", apart_network), podman_socket) as served:
        yield served


@pytest.fixture(scope="session")
def docker_rootless(unprivileged: User, podman_socket: str, agent_image: str) -> Iterator[Served]:
    """The user's Docker."""
    with _shared("docker-rootless", Dockerd(unprivileged.home / "docker", unprivileged), podman_socket) as served:
        yield served


@contextmanager
def _shared(name: str, engine: Served, source: str) -> Iterator[Served]:
    """`engine` with the image of `source`. One run at a time has it: its network or its user's view is that run's."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        engine.stop()  # what is left of a run that was killed lives in that run's network or view
        try:
            engine.serve()
            asyncio.run(_take_image(source, engine.socket))
            yield engine
            asyncio.run(purge(engine.socket))
        finally:
            engine.stop()


async def _take_image(source: str, target: str) -> None:
    """See that `target` has the agents' image under the name by which `init` looks for it."""
    digest = context.digest(await asyncio.to_thread(identity, base(), cache() / "downloads"))
    name = f"{NAME}:{digest}"
    giving, taking = Api(source), Api(target)
    try:
        with suppress(NotFound):
            await taking.get(f"/images/{name}/json")
            return
        async with giving._request("GET", f"/images/{name}/get", {}, None) as answer:

            async def pieces() -> AsyncIterator[bytes]:
                async for piece in answer.content.iter_any():
                    yield piece

            async for _ in taking.stream("POST", "/images/load", tar=pieces()):
                pass  # progress; a failure raises
    finally:
        await giving.close()
        await taking.close()
