"""Commands that only root may run: each is said before it runs, with what it is for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence

from vibespace.errors import Aborted, ended

Root = Callable[[Sequence[str], str], str]
"""Runs a command as root, after saying what it is for; what it prints. Raises Aborted ROOT_REFUSED."""


def runner(say: Callable[[str], None]) -> Root:
    """`say` is told each command before it first runs, whole: what root runs can be read, and typed by hand."""
    told: set[str] = set()

    def run(command: Sequence[str], why: str) -> str:
        text = shlex.join(command)
        if text not in told:
            told.add(text)
            say(f"As root, which {why}:\n{text}")
        sudo = () if os.geteuid() == 0 else ("sudo", "--")
        if sudo and not shutil.which("sudo"):
            raise Aborted("ROOT_REFUSED", "This needs root, and there is no sudo here.", hint=f"Run as root: {text}")
        done = subprocess.run([*sudo, *command], capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip()[-300:] or f"it ended with exit code {done.returncode}"
            raise Aborted("ROOT_REFUSED", ended(f"What {why} has failed as root: {said}"))
        return done.stdout

    return run
