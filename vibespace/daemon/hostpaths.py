"""Which paths of this machine may be shown to agents: none that leads to what holds them, or the machine, together."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vibespace.errors import InvalidArgument

Identity = tuple[int, int]

_KERNEL = ("/proc", "/sys", "/dev")


class _Engine(NamedTuple):
    """Where one kind of engine lies, ours or not."""

    socket: str
    """Where root's listens."""
    kept: Sequence[str]
    """What it keeps, a user's too."""
    users: Sequence[str] = ()
    """What a user's has in that user's runtime directory, its socket among it."""


_ENGINES = (
    _Engine(
        "/run/podman/podman.sock",
        ("/run/podman", "/run/containers", "/var/lib/containers", "~/.local/share/containers"),
        ("podman", "containers"),
    ),
    _Engine("/run/docker.sock", ("/run/docker", "/var/lib/docker", "~/.local/share/docker"), ("docker.sock",)),
    _Engine("/run/containerd/containerd.sock", ("/run/containerd", "/var/lib/containerd")),
    _Engine("/run/crio/crio.sock", ("/run/crio",)),
)
SOCKETS = tuple(engine.socket for engine in _ENGINES)
"""Where engines listen that are not ours."""
_KUBERNETES = ("~/.kube", "/etc/kubernetes", "/etc/rancher", "/var/lib/rancher", "/var/lib/kubelet")


class HostPaths:
    """Resolves and refuses. Paths are compared by what they are, so that neither links nor bind mounts lead around."""

    def __init__(self, home: Path, engine_address: Callable[[], str], environ: Mapping[str, str]) -> None:
        """`home` is the state directory; `engine_address` where the engine listens, as far as that is known."""
        self._home = home
        self._engine_address = engine_address
        self._environ = environ

    def resolve(self, source: str, field: str = "spec.mounts") -> str:
        """The real path of `source`. Raises InvalidArgument MOUNT_MISSING or MOUNT_REFUSED. Looks at the disk."""
        try:
            real = Path(source).resolve(strict=True)
            mode = real.stat().st_mode
        except (OSError, RuntimeError) as e:
            why = (e.strerror if isinstance(e, OSError) else None) or "its links go round in a circle"
            raise InvalidArgument(
                "MOUNT_MISSING",
                f"{source!a} cannot be mounted: {why} on the engine's machine.",
                field=field,
                hint="HOST is a path there, and must exist.",
            ) from e
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise _refused(source, "it is neither a directory nor a file", field)
        if ":" in str(real) or not str(real).isprintable():
            raise _refused(source, "its real path has a ':' or an unprintable character in it", field)
        above = set(_identities(real))
        own = _identity(real)
        for path, what in self._protected():
            if (_identity(path) in above) or own in set(_identities(path)):
                raise _refused(source, f"it is, holds or lies in {what} ({path})", field)
        return str(real)

    def recheck(self, sources: Iterable[str]) -> None:
        """What was resolved once is still what it was, and still may be shown. Raises as `resolve`."""
        for source in sources:
            if self.resolve(source) != source:
                raise _refused(source, "it has become a symbolic link", "spec.mounts")

    def _protected(self) -> Iterator[tuple[Path, str]]:
        yield from self._there(_KERNEL, "what the kernel shows of this machine")
        yield from self._there([str(self._home)], "the state directory")
        yield from self._there(self._of_engines(), "what a container engine keeps or listens on")
        kubeconfigs = self._environ.get("KUBECONFIG", "").split(":")
        yield from self._there((*_KUBERNETES, *kubeconfigs), "the way into a Kubernetes cluster")

    def _of_engines(self) -> Iterator[str]:
        runtime = self._environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        yield self._engine_address()
        for engine in _ENGINES:
            yield from (engine.socket, *engine.kept, *(f"{runtime}/{name}" for name in engine.users))

    def _there(self, paths: Iterable[str], what: str) -> Iterator[tuple[Path, str]]:
        """Those that exist. One that comes later is seen at the next start of an agent."""
        for path in paths:
            if path.startswith("~/"):
                path = f"{self._environ.get('HOME', '/root')}{path[1:]}"
            if path.startswith("/") and os.path.exists(path):
                yield Path(path).resolve(), what


def _identities(path: Path) -> Iterator[Identity]:
    """Of `path` and all that it lies in."""
    yield from map(_identity, (path, *path.parents))


def _identity(path: Path) -> Identity:
    found = path.stat()
    return found.st_dev, found.st_ino


def _refused(source: str, why: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "MOUNT_REFUSED",
        f"{source!a} is not shown to agents: {why}.",
        field=field,
        hint="Mount a directory that holds only what the agents need.",
    )
