"""A small file system of its own, in memory and in a mount namespace: it ends with the test."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.daemon import process

MOUNT = 'mount -t tmpfs -o size=32m,mode=700 none "$1" && echo mounted && exec cat'


class Small:
    """32 MiB at `home`, as those see it who were started here; `seen` is the same from outside."""

    def __init__(self, holder: subprocess.Popen[str], home: Path) -> None:
        self._holder = holder
        self.home = home
        self.seen = Path(f"/proc/{holder.pid}/root{home}")

    def inside(self, *command: str) -> list[str]:
        """The command that runs `command` there."""
        enter = ["nsenter", f"--target={self._holder.pid}", "--user", "--mount", "--preserve-credentials"]
        return [*enter, "--", *command]

    def start(self) -> tuple[subprocess.Popen[str], bool]:
        """A new daemon, and whether it serves."""
        return process.start(self.home, self.inside())

    def daemon(self, module: str = "vibespace.daemon") -> AbstractContextManager[subprocess.Popen[str]]:
        """One that serves; killed at the end."""
        return process.daemon(self.home, self.inside(), module=module)

    def fill(self) -> None:
        """Leave not a single page."""
        descriptor = os.open(self.seen / "filler", os.O_RDWR | os.O_CREAT, 0o600)
        end, step = 0, 1 << 20
        while step >= 4096:
            try:
                os.posix_fallocate(descriptor, end, step)
                end += step
            except OSError:
                step //= 2
        os.close(descriptor)


@contextmanager
def small() -> Iterator[Small]:
    """There until the block ends, with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="vs-", dir="/tmp") as directory:
        home = Path(directory) / "home"
        home.mkdir()
        holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "mounted\n"
            yield Small(holder, home)
        finally:
            holder.communicate()
