"""What marks a directory as ours, and tells `uninstall` what it must know when neither daemon nor log can."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from vibespace import durable
from vibespace.errors import FailedPrecondition
from vibespace.setup.engine import Choice
from vibespace.state import State, read_marker


@dataclass(frozen=True)
class Installation:
    """Written by each daemon that starts, and by `uninstall`."""

    log_id: str
    engine: Choice | None = None
    """None before `init`; with `leaving`, once nothing of ours is left in it."""
    leaving: bool = False
    """An uninstall has begun: no daemon may start on what is left."""
    uninstalled: bool = False
    """`uninstall --keep-data` was here, and no `init` since: launch.py, which reads it too, starts no daemon."""


def read(state: State) -> Installation | None:
    """What the marker says; None where there is none, or nothing that can be read."""
    told = read_marker(state)
    try:
        engine = told["engine"] and Choice(**told["engine"])
        return Installation(str(told["log_id"]), engine, bool(told["leaving"]), bool(told.get("uninstalled")))
    except (KeyError, TypeError):
        return None


def write(state: State, installation: Installation) -> None:
    """Have the marker say it, whole or not at all. Raises OSError."""
    if read(state) == installation:
        return
    durable.replace(state.marker, json.dumps(asdict(installation)).encode())


def refuse_leaving(state: State) -> None:
    """Raise FailedPrecondition UNINSTALL_UNFINISHED where an uninstall was interrupted."""
    found = read(state)
    if found is not None and found.leaving:
        raise FailedPrecondition(
            "UNINSTALL_UNFINISHED",
            f"What is left in {state.home} is half taken away.",
            hint="'vibespace uninstall' finishes it.",
        )
