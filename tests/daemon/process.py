"""The daemon as a process of a test's own, on the fake engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where modules of the tests are found, also by who has entered somewhere else."""


def start(
    home: Path, enter: Sequence[str] = (), *, module: str = "vibespace.daemon", **environ: str
) -> tuple[subprocess.Popen[str], bool]:
    """A new daemon, where the command `enter` leads to, and whether it serves. `module` is what runs it."""
    ready, tell = os.pipe()
    daemon = subprocess.Popen(
        [*enter, sys.executable, "-m", module, "--ready-fd", str(tell)],
        env=os.environ
        | {"VIBESPACE_HOME": str(home), "VIBESPACE_FAKE_ENGINE": f"{home}.engine", "PYTHONPATH": str(ROOT)}
        | environ,
        stderr=subprocess.PIPE,
        pass_fds=(tell,),
        text=True,
    )
    os.close(tell)
    with os.fdopen(ready) as told:
        return daemon, told.readline() == "ready\n"


@contextmanager
def daemon(
    home: Path, enter: Sequence[str] = (), *, module: str = "vibespace.daemon", **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """One that serves; killed at the end if it still does."""
    process, serves = start(home, enter, module=module, **environ)
    try:
        assert serves, process.communicate()
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr
        process.stderr.close()
