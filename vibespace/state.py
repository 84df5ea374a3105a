"""Where everything of one installation lies. Apart from config.py, which loads a YAML parser."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vibespace.errors import InvalidArgument, PermissionDenied

UNIX_PATH_MAX = 107
"""Bytes in a Unix socket's path that Linux and gRPC accept (sun_path less its NUL)."""

KEPT = ("engine", "kubeconfig", "k3s", "keys", "vault", "config.yaml", "events.db*", "blobs", "head*")
"""Entries of a state directory that data cannot do without: volumes, host keys, secrets, settings, history."""

MADE = ("ssh", "bin", "k3s.*", "cache", "checkpoint*", "programs", "index.db*", "reserve", "debug.log*", "daemon.*")
"""The other entries that we make. Whatever is called differently is somebody else's, and `uninstall` leaves it."""

_MARKER_MAX = 64 << 10
"""Bytes that are read of the marker, which has some hundred."""

AT_REST = " at rest"
"""What a daemon that ends because everything is at rest has written behind its pid in the lock by then."""


@dataclass(frozen=True)
class State:
    """Where everything of one installation lies."""

    home: Path

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return self.home / "daemon.sock"

    @property
    def lock(self) -> Path:
        """Held with flock by the one daemon; its content is its pid, and at the end whether all is at rest."""
        return self.home / "daemon.lock"

    @property
    def log(self) -> Path:
        """The event store."""
        return self.home / "events.db"

    @property
    def blobs(self) -> Path:
        """What is too large for an event, in files named by their content."""
        return self.home / "blobs"

    @property
    def programs(self) -> Path:
        """What is known of agents' programs that run."""
        return self.home / "programs"

    @property
    def keys(self) -> Path:
        """Private keys, one file each, 0600: `client` is ours, the others are host keys by agent uid."""
        return self.home / "keys"

    @property
    def vault(self) -> Path:
        """Sealed values, one file each, and `master`, the key to them. Whoever has both can read them."""
        return self.home / "vault"

    @property
    def engine(self) -> Path:
        """All that belongs to the private container engine."""
        return self.home / "engine"

    @property
    def kubeconfig(self) -> Path:
        """The way into the cluster, where there is one: of an account that may no more than it must, 0600."""
        return self.home / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Programs that were fetched: k3s, and kubectl with it."""
        return self.home / "bin"

    @property
    def k3s(self) -> Path:
        """All that belongs to a cluster of our own on this machine, its volumes too; root's."""
        return self.home / "k3s"

    @property
    def config(self) -> Path:
        """What the user set."""
        return self.home / "config.yaml"

    @property
    def debug_log(self) -> Path:
        """Written with VIBESPACE_DEBUG=1 only."""
        return self.home / "debug.log"

    @property
    def marker(self) -> Path:
        """Says that the directory is ours, and what `uninstall` must know: setup/installation.py."""
        return self.home / "installation.json"

    @property
    def ssh(self) -> Path:
        """What the user's own ssh reads: `config`, and in `hosts` a file for each agent with its host key."""
        return self.home / "ssh"

    @property
    def cache(self) -> Path:
        """What was downloaded, and can be again."""
        return self.home / "cache"

    @property
    def start_lock(self) -> Path:
        """Held with flock by whoever starts the daemon, or keeps it from being started."""
        return self.home / "daemon.start.lock"


def state(home: str | os.PathLike[str] = "") -> State:
    """The state directory: `home`, VIBESPACE_HOME or ~/.vibespace. Raises InvalidArgument where no socket fits in."""
    chosen = Path(home or os.environ.get("VIBESPACE_HOME") or "~/.vibespace").expanduser()
    found = State(Path(os.path.abspath(chosen)))
    if len(os.fsencode(found.socket)) > UNIX_PATH_MAX:
        raise InvalidArgument(
            "SOCKET_PATH_TOO_LONG",
            f"{found.socket} is longer than the {UNIX_PATH_MAX} bytes a socket's path may have.",
            hint="Set VIBESPACE_HOME to a shorter directory.",
        )
    return found


def read_marker(state: State) -> dict[str, Any]:
    """What the marker says; nothing where there is none, or what is none. Nobody waits for a pipe there.

    Raises PermissionDenied FILE_NOT_OURS for what may say that nothing is to be started, or that nobody can replace,
    and HOME_NOT_USABLE where the directory is not ours.
    """

    def opened(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    try:
        with open(state.marker, "rb", opener=opened) as file:
            told = json.loads(file.read(_MARKER_MAX))
    except (PermissionError, IsADirectoryError) as e:
        _refuse_anothers(state.home)
        hint = "See that it can be read, or move it away: then it is made again."
        raise PermissionDenied("FILE_NOT_OURS", f"{state.marker} cannot be read: {e.strerror}.", hint=hint) from e
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _refuse_anothers(home: Path) -> None:
    """What lies in it is his, so there is nothing to open or to move away."""
    try:
        ours = home.stat().st_uid == os.geteuid()
    except OSError:
        ours = False  # the way there is closed already
    if not ours:
        text = f"The state directory {home} belongs to another user."
        raise PermissionDenied("HOME_NOT_USABLE", text, hint="Set VIBESPACE_HOME to a directory of your own.")


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a regular file of ours, made 0600 when there is none.

    Raises PermissionDenied FILE_NOT_OURS: a pipe would keep us waiting, and a link has us write somewhere else.
    """
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as e:
        hint = "See that its directory can be written to; if it can, move the file away."
        raise PermissionDenied("FILE_NOT_OURS", f"{path} cannot be opened: {e.strerror}.", hint=hint) from e
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    hint = "Move it away; it is made again."
    raise PermissionDenied("FILE_NOT_OURS", f"{path} is not a file of ours.", hint=hint)
