"""Where a program under test runs: here as root, in a network of its own, or as an ordinary user.

The user exists in one view of the file system only, a mount namespace: there /etc names him and his range of ids, the
device for networks of users may be opened, and his home can be reached wherever the tests keep it. The machine itself
is not changed for him, and nothing of a place is left when its test ends.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

USER = "vs-test"
USER_ID = 59321
SUBORDINATE_ID = 1_500_000_000
"""The first of the ids that are his to give away; fixed, because what is kept between runs belongs to them."""

ROOT = Path(__file__).parents[1]

VIEW = """
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
echo "$user:x:$id:$id::$home:/bin/sh" >> /etc/passwd
echo "$user:x:$id:" >> /etc/group
if [ -n "$ids" ]; then for file in subuid subgid; do echo "$user:$ids:65536" >> /etc/$file; done; fi
mknod -m "$tun" /mnt/tun c 10 200
mount --bind /mnt/tun /dev/net/tun
show() {
  if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "${2%/*}"; : > "$2"; fi
  mount --bind "$1" "$2"
}
for path; do show "$path" "/mnt/shown$path"; done
for path in $closed; do mount -t tmpfs -o mode=755 tmpfs "$path"; done
for path; do [ -e "$path" ] || show "/mnt/shown$path" "$path"; done
echo ready
exec cat
"""
"""What makes the view. What must be seen and lies in closed directories is shown in empty ones of that name."""

APART = "ip link set lo up; echo ready; exec cat"


class Place:
    """Here, as whoever runs the tests."""

    home: Path | None = None
    """The home of who runs programs here, where that matters."""
    variables: Mapping[str, str] = MappingProxyType({})
    """What is in everybody's environment here."""

    def command(self, *words: str, cwd: Path | str = "") -> list[str]:
        """The command line that runs `words` in this place; `cwd` for who must be told again."""
        return list(words)

    def give(self, path: Path) -> None:
        """Make `path`, and what is in it, belong to who runs programs here."""

    def environment(self, **more: str) -> dict[str, str]:
        """All that he gets to see of the tests' environment."""
        return {**os.environ, **more}

    def run(self, *words: str) -> str:
        """What a command prints that is run here; it must succeed."""
        command = self.command(*words)
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Apart(Place):
    """A network of its own, with nothing in it but loopback."""

    def __init__(self, process: int) -> None:
        self.process = process

    def command(self, *words: str, cwd: Path | str = "") -> list[str]:
        return ["nsenter", f"--net=/proc/{self.process}/ns/net", *words]

    def mounting(self, *words: str) -> list[str]:
        """For who mounts: what he does is seen by nobody else, and gone with him."""
        return ["nsenter", f"--mount=/proc/{self.process}/ns/mnt", *self.command(*words)]


class User(Place):
    """An ordinary user in his view of the machine: no session, no capabilities."""

    def __init__(self, home: Path, process: int, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.home: Path = home
        self.process = process
        self.variables = variables

    def command(self, *words: str, cwd: Path | str = "") -> list[str]:
        enter = ["nsenter", f"--mount=/proc/{self.process}/ns/mnt"]
        become = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--inh-caps=-all"]
        return [*enter, *become, "env", f"--chdir={cwd or self.home}", *words]

    def give(self, path: Path) -> None:
        subprocess.run(["chown", "--recursive", "--no-dereference", f"{USER_ID}:{USER_ID}", path], check=True)

    def environment(self, **more: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        return {"HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8", **self.variables, **more}


@contextmanager
def apart() -> Iterator[Apart]:
    """A new network."""
    with holder(["--mount", "--net"], APART, [], {}) as process:
        yield Apart(process)


@contextmanager
def user(home: Path, *shown: Path, ids: bool = True, tun: bool = True) -> Iterator[User]:
    """The user with his home at `home`, who can also read `shown`; he may lack subordinate ids, or the open tun."""
    if not home.exists():
        home.mkdir(parents=True)
        os.chown(home, USER_ID, USER_ID)
    paths = [str(path) for path in (ROOT, Path(sys.base_prefix), home, *shown)]
    variables = {
        "user": USER,
        "id": str(USER_ID),
        "home": str(home),
        "ids": str(SUBORDINATE_ID) if ids else "",
        "tun": "666" if tun else "600",
        "closed": " ".join({found for path in paths if (found := _closed(Path(path)))}),
    }
    with holder(["--mount"], VIEW, paths, variables) as process:
        yield User(home, process)


@contextmanager
def holder(namespaces: Sequence[str], script: str, arguments: Sequence[str], env: dict[str, str]) -> Iterator[int]:
    """A process that keeps new namespaces until it is let go; its id."""
    command = ["unshare", *namespaces, "--propagation=private", "sh", "-euc", script, "sh", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={**os.environ, **env}, stdin=pipe, stdout=pipe, text=True) as kept:
        assert kept.stdin is not None
        assert kept.stdout is not None
        assert kept.stdout.readline() == "ready\n"
        yield kept.pid  # leaving closes its input, which ends it


def _closed(path: Path) -> str:
    """The topmost directory on the way to `path` that only its owner may pass."""
    return next((str(part) for part in reversed(path.parents) if not part.stat().st_mode & 0o001), "")


@contextmanager
def entered(place: Place) -> Iterator[None]:
    """This very thread in the network of `place`."""
    if not isinstance(place, Apart):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{place.process}/ns/net") as its:
        assert libc.setns(its.fileno(), 0) == 0
        try:
            yield
        finally:
            assert libc.setns(ours.fileno(), 0) == 0
