"""Commands that only root may run: each is said before it runs, with what it is for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence

from vibespace.errors import Aborted, ended


def runner(say: Callable[[str], None]) -> Callable[[Sequence[str], str], str]:
    """A k3s.Root. `say` is told of each."""
    told: set[str] = set()

    def run(command: Sequence[str], why: str) -> str:
        if why not in told:
            told.add(why)
            say(f"As root, which {why}: {_short(shlex.join(command))}")
        sudo = () if os.geteuid() == 0 else ("sudo", "--")
        if sudo and not shutil.which("sudo"):
            hint = f"Run as root: {shlex.join(command)}"
            raise Aborted("ROOT_REFUSED", "This needs root, and there is no sudo here.", hint=hint)
        done = subprocess.run([*sudo, *command], capture_output=True, text=True)
        if done.returncode:
            text = ended(f"{_short(shlex.join(command))} has failed: {done.stderr.strip()[-300:]}")
            raise Aborted("ROOT_REFUSED", text)
        return done.stdout

    return run


def _short(command: str) -> str:
    first, _, more = command.partition("\n")
    return f"{first} …" if more else command
