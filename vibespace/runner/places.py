"""Where the runner keeps what it has, and what it and those that it starts have in their environment."""

from __future__ import annotations

import os
import socket

USER = os.path.expanduser("~")
HOME = os.path.join(USER, ".vibespace", os.environ.get("VIBESPACE_RUNNER") or "runner")
"""Another for each name: a home may have been another agent's before."""
MARK = b"VIBESPACE_PROGRAM=" + os.fsencode(HOME)
"""In the environment of all that a program starts: by it they are found after a crash, in whatever session they are."""
MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""The C library's settings for it alone: its threads wait, and an arena each would be most of its memory; and what was
large once goes back to the machine, instead of being kept for the next time."""


def connect() -> socket.socket | None:
    """Serve's socket, if one listens."""
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect("socket")
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        return None
    return client


def in_home(path: str, most: int = 4095) -> str:
    """That path, of so many bytes, in the home. Raises ValueError for one that cannot be: who opens it would fail."""
    found = os.path.join(USER, path)
    if not path or "\0" in path or len(os.fsencode(found)) > most:
        raise ValueError(f"no path: {path[:60]!a}")
    return found
