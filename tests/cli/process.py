"""The command line as a process of its own, piped or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

LINE = [sys.executable, "-m", "vibespace"]


def environment() -> dict[str, str]:
    """Ours, with this tree in front."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "frontends/cli")]), "TERM": "xterm"}


def start(*arguments: str, **more: object) -> subprocess.Popen[bytes]:
    """Start one command line."""
    options: dict[str, object] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*LINE, *arguments], env=environment(), **{**options, **more})  # type: ignore[call-overload,no-any-return]


def on_terminal(*arguments: str, typed: bytes = b"") -> tuple[int, str]:
    """Run one command line on a terminal of its own; its exit code and all that was seen there."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:  # How Linux says that nobody has the other side open any more.
        os.close(ours)
    return process.wait(), seen.decode().replace("\r\n", "\n")
