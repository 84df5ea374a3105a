"""Where the test cluster runs: a view of the machine that is gone, with all in it, when its holder ends.

Its processes, mounts and network are its own, so nothing of a run that was killed is left but files and empty control
groups, and this machine's firewall never hears of it. One cable leads out: this machine reaches the API server and the
pods through it, as a node would.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE, THERE = "10.211.0.1", "10.211.0.2"
"""The two ends of the cable: this machine, and the node."""
PODS, SERVICES = "10.210.0.0/24", "10.209.0.0/24"
CABLE = "kube-test"
"""Its end here. Not `vs…`: what is called so is guarded as a vibespace's network."""

_SCRIPT = """\
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/upper,workdir=/mnt/work /var/lib
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir /run/lock
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
exec cat
"""
"""The programs have files in these directories that no setting moves. Ending its input ends it, and all that it holds:
it is the first process there.
"""


class Node:
    """The view, by its first process."""

    def __init__(self, process: int) -> None:
        self.process = process

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in it."""
        return ["nsenter", f"--target={self.process}", "--mount", "--net", "--pid", *words]

    def run(self, *words: str) -> str:
        """What a command prints that is run there; it must succeed."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def node() -> Iterator[Node]:
    """A new one, with its cable."""
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation=private"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*unshare, "sh", "-euc", _SCRIPT], stdin=pipe, stdout=pipe, text=True) as kept:
        assert kept.stdin is not None
        assert kept.stdout is not None
        assert kept.stdout.readline() == "ready\n"
        found = Node(child(kept.pid))
        _connect(found)
        yield found
        kept.stdin.close()


def child(process: int) -> int:
    """The one process that `process` has started."""
    path = Path(f"/proc/{process}/task/{process}/children")
    while not (children := path.read_text().split()):
        time.sleep(0.005)
    return int(children[0])


def _connect(node: Node) -> None:
    """The cable, and the ways to what is behind it; they go with the node's end."""
    subprocess.run(["ip", "link", "delete", CABLE], capture_output=True)  # of a run whose node is just ending
    _ip("link", "add", CABLE, "type", "veth", "peer", "name", "uplink", "netns", str(node.process))
    _ip("address", "add", f"{HERE}/30", "dev", CABLE)
    _ip("link", "set", CABLE, "up")
    node.run("ip", "address", "add", f"{THERE}/30", "dev", "uplink")
    node.run("ip", "link", "set", "uplink", "up")
    node.run("ip", "route", "add", "default", "via", HERE)
    _ip("route", "add", PODS, "via", THERE)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def remove_groups(paths: Sequence[Path]) -> None:
    """Control groups are removed from the innermost on; in those that are not empty yet somebody is just ending."""
    for top in paths:
        for _ in range(100):
            for path, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    time.sleep(0.01)
            if not top.exists():
                break
