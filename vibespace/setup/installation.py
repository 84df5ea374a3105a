"""What marks a directory as ours, and tells `uninstall` what it must know when neither daemon nor log can."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from vibespace import durable
from vibespace.errors import FailedPrecondition, PermissionDenied, Unavailable
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
    """What the marker says; None where there is none, or what is none. Raises PermissionDenied FILE_NOT_OURS."""
    match read_marker(state):
        case {"log_id": str() as log_id, "engine": engine, "leaving": bool() as leaving, **more}:
            chosen = _choice(engine)
            if chosen or engine is None:
                return Installation(log_id, chosen, leaving, more.get("uninstalled") is True)
    return None


def _choice(told: object) -> Choice | None:
    match told:
        case {"brand": str() as brand, "socket": str() as socket, "private": bool() as private}:
            return Choice(brand, socket, private)
    return None


def write(state: State, installation: Installation) -> None:
    """Have the marker say it, whole or not at all. Raises Unavailable HOME_NOT_USABLE."""
    with suppress(PermissionDenied):  # then it cannot say it already
        if read(state) == installation:
            return
    try:
        durable.replace(state.marker, json.dumps(asdict(installation)).encode())
    except OSError as e:
        hint = f"See that {state.home} can be written to, and that its disk has room."
        raise Unavailable("HOME_NOT_USABLE", f"{state.marker} cannot be written: {e.strerror}.", hint=hint) from e


def refuse_leaving(state: State) -> None:
    """Raise FailedPrecondition UNINSTALL_UNFINISHED where an uninstall was interrupted."""
    found = read(state)
    if found is not None and found.leaving:
        raise FailedPrecondition(
            "UNINSTALL_UNFINISHED",
            f"What is left in {state.home} is half taken away.",
            hint="'vibespace uninstall' finishes it.",
        )
