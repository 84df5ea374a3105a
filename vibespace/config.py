"""Settings and the layout of the state directory: defaults < config.yaml < environment < flags."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vibespace.errors import InvalidArgument

UNIX_PATH_MAX = 107
"""Bytes in a Unix socket's path that Linux and gRPC accept (sun_path less its NUL)."""


@dataclass(frozen=True)
class Settings:
    """What config.yaml may say; each name there is written with a dot (`engine.socket`)."""

    engine_socket: str = ""
    """Unix socket of the engine to use, instead of looking for one."""
    image_base: str = "docker.io/library/debian:bookworm-slim"
    """What the agents' image is built from: a reference, or a tar of a Debian root file system."""


TEMPLATE = """\
# vibespace: what can be set. Remove the '#' of a line to set it.
#
# engine:
#   socket: /run/podman/podman.sock   # the engine to use; without it one is looked for
# image:
#   base: docker.io/library/debian:bookworm-slim   # a reference, or a tar of a Debian root file system
"""


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


def load(path: Path) -> Settings:
    """What `path` sets, over the defaults. Raises InvalidArgument naming the file and what is wrong in it."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidArgument("CONFIG_INVALID", f"{path} cannot be read: {e}.") from e
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise InvalidArgument("CONFIG_INVALID", f"{path} is not YAML{line}.") from e
    return Settings(**_flatten(path, {} if tree is None else tree))


def _flatten(path: Path, tree: Any) -> dict[str, str]:
    known = {f.name for f in fields(Settings)}
    if not isinstance(tree, dict):
        raise InvalidArgument("CONFIG_INVALID", f"{path} must hold settings by name, such as 'engine:'.")
    found: dict[str, str] = {}
    for group, values in tree.items():
        if not isinstance(values, dict):
            raise InvalidArgument("CONFIG_INVALID", f"{path}: '{group}' must hold settings by name.")
        for key, value in values.items():
            if f"{group}_{key}" not in known:
                raise InvalidArgument("CONFIG_INVALID", f"{path}: there is no setting '{group}.{key}'.")
            if not isinstance(value, str):
                raise InvalidArgument("CONFIG_INVALID", f"{path}: '{group}.{key}' must be text.")
            found[f"{group}_{key}"] = value
    return found
