"""Takes directories away without leaving them: through no link, and into nothing that is mounted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from vibespace.errors import Aborted, FailedPrecondition


def remove(paths: Sequence[Path], through: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
    """Remove files and directories, given by absolute paths; `through` is a command that runs the removal.

    Raises FailedPrecondition MOUNTED before anything is removed, Aborted NOT_REMOVED.
    """
    for path in paths:
        refuse_mounts(path)
    # rm, because an agent can nest directories deeper than a walk of our own could follow.
    command = [*through, "rm", "-rf", "--one-file-system", "--", *map(os.fspath, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=env)
    if done.returncode != 0:
        said = done.stderr.strip().rpartition("\n")[2] or f"it ended with exit code {done.returncode}"
        raise Aborted("NOT_REMOVED", f"Not all could be removed: {said}.", hint="Mend that, then uninstall again.")


def refuse_mounts(path: Path) -> None:
    """Raise FailedPrecondition MOUNTED when something is mounted at `path` or below."""
    found = mounts_below(path)
    if found:
        raise FailedPrecondition(
            "MOUNTED",
            f"{found[0]} is mounted, and what is in it is not ours to delete.",
            hint=f"Unmount it (umount {found[0]}), then try again.",
        )


def mounts_below(path: Path) -> list[str]:
    """Mount points at `path` and below, the innermost last."""
    top = os.path.join(os.path.realpath(path.parent), path.name)
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines)
    return [point for point in points if point == top or point.startswith(f"{top}/")]
