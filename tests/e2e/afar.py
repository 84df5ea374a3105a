"""A client that is somewhere else than its daemon, as far as this machine allows.

It runs in a view of the file system that has neither the state directory, nor the engine, nor the checkout but for the
program; under another user id, in another directory, with a home and a state directory of its own. The socket there is
a relay's (tests/e2e/wire.py). What passes only here (a path, a user id, a descriptor, a file that both read) fails.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.installation import Installation, installation
from tests.places import ROOT, Place, holder
from tests.podman import cache

USER_ID = 59322
"""Whom the client takes itself for. The kernel knows better, or it could not read what tests write for it."""

VIEW = """
prefix=$1 root=$2
program() { "$1" "$prefix"; "$1" "$root/vibespace"; "$1" "$root/frontends"; }
keep() { mkdir -p "/mnt$1"; mount --bind "$1" "/mnt$1"; }
show() { if [ ! -e "$1" ]; then mkdir -p "$1"; mount --bind "/mnt$1" "$1"; fi; }
mount -t tmpfs -o mode=755 tmpfs /mnt
program keep
shift
for path; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
program show
echo ready
exec cat
"""


class Afar(Place):
    """The client's end."""

    def __init__(self, folder: Path, process: int) -> None:
        self.home: Path = folder / "home"
        self.process = process
        self.variables = {"HOME": str(self.home), "VIBESPACE_HOME": str(folder / "state")}

    def command(self, *words: str, cwd: Path | str = "") -> list[str]:
        enter = ["nsenter", f"--mount=/proc/{self.process}/ns/mnt"]
        become = ["unshare", "--user", f"--map-user={USER_ID}", f"--map-group={USER_ID}"]
        return [*enter, *become, "env", f"--chdir={cwd or self.home}", *words]


@contextmanager
def afar(engine: str) -> Iterator[Installation]:
    """An installation, initialised here and used from afar."""
    folder = Path(tempfile.mkdtemp(prefix="vs-afar-", dir="/tmp"))
    try:
        for name in ("home", "state"):
            (folder / name).mkdir(mode=0o700)
        with installation(engine) as made:
            made.init()
            hidden = [str(path) for path in (ROOT, made.home, cache())]
            with (
                holder(["--mount"], VIEW, [sys.prefix, *hidden], {}) as process,
                _wire(folder / "state/daemon.sock", made.home / "daemon.sock"),
            ):
                made.place = Afar(folder, process)
                yield made
    finally:
        shutil.rmtree(folder)


@contextmanager
def _wire(listen: Path, connect: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.e2e.wire", str(listen), str(connect)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as wire:
        assert wire.stdout is not None
        assert wire.stdout.readline() == "ready\n"
        yield
        wire.communicate("")
