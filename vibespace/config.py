"""Settings: defaults < config.yaml < environment < flags."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vibespace.errors import InvalidArgument
from vibespace.state import UNIX_PATH_MAX as UNIX_PATH_MAX
from vibespace.state import State as State
from vibespace.state import state as state


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
