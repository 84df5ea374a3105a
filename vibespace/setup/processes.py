"""Processes of this machine by their command lines: a number alone may have been given to another one since."""

from __future__ import annotations

import os
from pathlib import Path

DAEMON = "vibespace.daemon"
"""The word that the command line of each of our daemons has: launch.py starts them so."""


def words(pid: int | str) -> list[str]:
    """Its command line; nothing of one that has ended, or is not ours to see."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return []


def having(*wanted: str) -> list[int]:
    """Those whose command lines have all of these words."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if {*wanted} <= {*words(pid)}]
