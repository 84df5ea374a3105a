"""Where everything of one installation lies. Apart from config.py, which loads a YAML parser."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vibespace.errors import InvalidArgument

UNIX_PATH_MAX = 107
"""Bytes in a Unix socket's path that Linux and gRPC accept (sun_path less its NUL)."""


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
        """Held with flock by the one daemon; its content is that daemon's pid."""
        return self.home / "daemon.lock"

    @property
    def log(self) -> Path:
        """The event store."""
        return self.home / "events.db"

    @property
    def keys(self) -> Path:
        """Private keys, one file each, 0600: `client` is ours, the others are host keys by agent uid."""
        return self.home / "keys"

    @property
    def engine(self) -> Path:
        """All that belongs to the private container engine."""
        return self.home / "engine"

    @property
    def config(self) -> Path:
        """What the user set."""
        return self.home / "config.yaml"

    @property
    def debug_log(self) -> Path:
        """Written with VIBESPACE_DEBUG=1 only."""
        return self.home / "debug.log"


def state() -> State:
    """The state directory: VIBESPACE_HOME, or ~/.vibespace. Raises InvalidArgument for one no socket fits in."""
    home = Path(os.environ.get("VIBESPACE_HOME") or "~/.vibespace").expanduser()
    found = State(Path(os.path.abspath(home)))
    if len(os.fsencode(found.socket)) > UNIX_PATH_MAX:
        raise InvalidArgument(
            "SOCKET_PATH_TOO_LONG",
            f"{found.socket} is longer than the {UNIX_PATH_MAX} bytes a socket's path may have.",
            hint="Set VIBESPACE_HOME to a shorter directory.",
        )
    return found
