"""Which container engine to use: what was set, what the environment names, our own Podman, what is there."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vibespace.config import Settings
from vibespace.engine.base import KUBERNETES
from vibespace.errors import Error, FailedPrecondition, InvalidArgument, Unavailable
from vibespace.setup import podman
from vibespace.setup.firewall import keep_networks_apart
from vibespace.setup.ping import brand_at
from vibespace.state import State

VARIABLES = ("CONTAINER_HOST", "DOCKER_HOST")
"""Podman's own variable, then Docker's."""


@dataclass(frozen=True)
class Choice:
    """The one engine of a state directory, chosen at `init` and kept."""

    brand: str
    """podman | docker | kubernetes"""
    socket: str
    """Where it listens; of a cluster its address, to which the state directory's kubeconfig leads."""
    private: bool
    """Served by us under the state directory: `reopen` starts it when it does not run."""


def find(settings: Settings, state: State, environ: Mapping[str, str]) -> Choice:
    """The first engine that can be used, in the order of this module's first line; it answers now.

    Raises FailedPrecondition ENGINE_MISSING when there is none, Unavailable ENGINE_UNREACHABLE when the one that
    was asked for does not answer, InvalidArgument ENGINE_ADDRESS for one that is not a Unix socket, and Aborted
    FIREWALL_REFUSED.
    """
    if settings.engine_socket:
        return _asked_for(settings.engine_socket, "'engine.socket' in config.yaml")
    for variable in VARIABLES:
        if address := environ.get(variable):
            return _asked_for(_unix_path(variable, address), variable)
    refusal: Error | None = None
    if shutil.which("podman"):
        try:
            return Choice("podman", str(podman.ensure(state.engine)), private=True)
        except (FailedPrecondition, Unavailable) as e:
            refusal = e
    for path in _usual_sockets(environ):
        if brand := brand_at(path):
            return _opened(brand, path)
    if refusal is not None:
        raise refusal
    raise FailedPrecondition(
        "ENGINE_MISSING",
        "There is neither Podman nor Docker on this machine.",
        hint=f"As root: apt-get install -y {' '.join(podman.missing())}",
    )


def passed_over(settings: Settings, choice: Choice) -> str:
    """What to say where config.yaml asks for another engine than `choice`, which was made before; or nothing."""
    asked = settings.engine_socket
    if choice.brand == KUBERNETES:
        return ""  # that socket is where images are built
    if not asked or os.path.realpath(Path(asked).expanduser()) == os.path.realpath(choice.socket):
        return ""
    return (
        f"'engine.socket' in config.yaml is {asked}, but the engine was chosen by the first 'init' and stays "
        f"{choice.brand} at {choice.socket}: for another one set VIBESPACE_HOME to a new state directory, or say "
        "'vibespace uninstall' first."
    )


def another(choice: Choice) -> FailedPrecondition:
    """What to raise where another one than `choice` is asked for, which was made before."""
    return FailedPrecondition(
        "ENGINE_CHOSEN",
        f"This state directory uses {choice.brand} at {choice.socket}.",
        hint="Set VIBESPACE_HOME to another directory to use another engine.",
    )


def reopen(choice: Choice, state: State) -> None:
    """See that an engine chosen earlier answers; ours is started again when it does not run.

    Safe to call at any time and from any process. Raises Unavailable ENGINE_UNREACHABLE, or what starting it raises.
    """
    if choice.brand == KUBERNETES:
        from vibespace.setup import cluster  # noqa: PLC0415 (half a second, only for who has one)

        asyncio.run(cluster.identity(state.kubeconfig))
    elif choice.private:
        podman.ensure(state.engine)
    else:
        _asked_for(choice.socket, "the engine of this state directory")


def guard(choice: Choice, state: State) -> None:
    """See that vibespaces stay apart, after a container was started. Raises Aborted FIREWALL_REFUSED.

    Docker does that by itself, and for root's Podman it was done when that was opened.
    """
    if choice.brand == "podman" and os.geteuid() != 0:
        podman.guard(podman.environment(state.engine) if choice.private else podman.here(os.environ))


def _asked_for(path: str, by: str) -> Choice:
    brand = brand_at(Path(path).expanduser())
    if not brand:
        raise Unavailable(
            "ENGINE_UNREACHABLE",
            f"No container engine answers at {path} ({by}).",
            hint="Start it, or name another socket.",
            socket=path,
        )
    return _opened(brand, Path(path).expanduser())


def _opened(brand: str, path: Path) -> Choice:
    if brand == "podman" and os.geteuid() == 0:
        keep_networks_apart()
    return Choice(brand, str(path), private=False)


def _unix_path(variable: str, address: str) -> str:
    scheme, _, path = address.partition("://")
    if scheme != "unix" or not path.startswith("/"):
        raise InvalidArgument(
            "ENGINE_ADDRESS",
            f"{variable} is '{address}', but only a Unix socket of this machine can be used.",
            hint=f"Set {variable} to unix:///path/to/the.sock, or unset it.",
        )
    return path


def _usual_sockets(environ: Mapping[str, str]) -> Iterator[Path]:
    user = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    yield from (Path("/run/podman/podman.sock"), user / "podman/podman.sock")
    yield from (Path("/var/run/docker.sock"), user / "docker.sock")
