"""The newest event that is known to have been written, kept apart from the log: so it is seen when the end is gone.

A log whose last events were taken away is a good log, only shorter. The head is written about once a second and is not
synced, so it tells of all but the last moments of a daemon that was killed, and it is never ahead of the log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Head:
    """An event of a log."""

    log_id: str
    position: int
    hash: bytes


def write(path: Path, head: Head) -> None:
    """Replace the file at `path`."""
    new = path.with_name(f"{path.name}.new")
    told = {"log_id": head.log_id, "position": head.position, "hash": head.hash.hex()}
    new.write_text(json.dumps(told) + "\n")
    new.replace(path)


def read(path: Path) -> Head | None:
    """What was written last; None when nothing was, or when it cannot be read."""
    try:
        told = json.loads(path.read_text())
        return Head(str(told["log_id"]), int(told["position"]), bytes.fromhex(told["hash"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None
