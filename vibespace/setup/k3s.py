"""k3s on this Linux machine: fetched, and served from the state directory. setup/k3sremains.py takes it away again.

What needs root is a list of commands: whoever types `init` is shown each before it runs, and the daemon runs none.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import NODES
from vibespace.errors import Aborted, Error, FailedPrecondition, NotFound
from vibespace.setup import download
from vibespace.setup.build import Progress
from vibespace.setup.root import Root
from vibespace.state import State

VERSION = "v1.34.3+k3s1"
RELEASES = "https://github.com/k3s-io/k3s/releases/download"
_ARCHITECTURES = {"x86_64": ("k3s", "amd64"), "aarch64": ("k3s-arm64", "arm64")}

READY_SECONDS = 300.0
_LOOK = 1.0

UNIT = Path("/etc/systemd/system/vibespace-k3s.service")
_SYSTEMD = Path("/run/systemd/system")

THEIRS = ("/etc/kubernetes", "/var/lib/rancher", "/var/lib/k0s", "/var/snap/microk8s")
"""Where another one is; ours has none of them."""
_ANYONES = ("/etc/rancher", "/var/lib/kubelet", "/run/k3s")
"""Where one is, whoever has installed it: before there is ours, somebody else has."""


@dataclass(frozen=True)
class K3s:
    """The one of a state directory."""

    state: State

    @property
    def program(self) -> Path:
        return self.state.bin / "k3s"

    @property
    def data(self) -> Path:
        """Its images, its database, and all volumes."""
        return self.state.k3s

    @property
    def lock(self) -> Path:
        """Without systemd: held with flock by who has started it, for as long as it runs; its content is its pid."""
        return self.state.home / "k3s.lock"

    @property
    def log(self) -> Path:
        """Without systemd: what it writes; root's."""
        return self.state.home / "k3s.log"

    @property
    def admin(self) -> Path:
        """Root's alone: who may do everything there."""
        return self.data / "admin.kubeconfig"

    def server(self) -> list[str]:
        """What is run, as root."""
        written = (f"--write-kubeconfig={self.admin}", "--write-kubeconfig-mode=0600")
        spared = ("--disable=traefik", "--disable=servicelb", "--disable=metrics-server", "--disable-helm-controller")
        network = "--flannel-backend=host-gw"  # one node needs no tunnel, whose port is open to whoever reaches it
        return [str(self.program), "server", self.data_option, *written, *spared, network]

    @property
    def data_option(self) -> str:
        """To be said to whatever is run of it: it unpacks itself there, and else into root's or the user's own."""
        return f"--data-dir={self.data}"


def refuse(state: State) -> None:
    """Raises FailedPrecondition where there can be none: no Linux, or another one is here already."""
    if sys.platform != "linux":
        raise FailedPrecondition(
            "BARE_METAL_LINUX",
            "A cluster of our own runs on Linux only.",
            hint="'vibespace init' uses Podman or Docker here, and 'init --external' any cluster that is there.",
        )
    if UNIT.exists() and not served_by_systemd(state):
        raise _there(UNIT)
    if state.k3s.exists():
        return
    for path in map(Path, (*THEIRS, *_ANYONES)):
        if path.exists():
            raise _there(path)


def _there(path: Path) -> FailedPrecondition:
    return FailedPrecondition(
        "KUBERNETES_THERE",
        f"There is a Kubernetes on this machine already, which has {path}.",
        hint="'vibespace init --external --kubeconfig PATH' uses it. If it is gone, take that away as well.",
    )


async def provide(state: State, given: str, progress: Progress) -> None:
    """Have the program in `bin`: the one `given`, or this version's release. kubectl comes with it.

    Raises what download.fetch does, FailedPrecondition ARCHITECTURE_UNKNOWN, NotFound K3S_MISSING.
    """
    found = K3s(state)
    await asyncio.to_thread(state.bin.mkdir, mode=0o700, exist_ok=True)
    if given:
        await asyncio.to_thread(_copy, Path(given), found.program)
    else:
        await _fetch(found.program, progress)
    await asyncio.to_thread(_write_kubectl, found)


async def _fetch(program: Path, progress: Progress) -> None:
    names = _ARCHITECTURES.get(platform.machine())
    if names is None:
        raise FailedPrecondition("ARCHITECTURE_UNKNOWN", f"There is no k3s for {platform.machine()}.")
    asset, architecture = names
    release = f"{RELEASES}/{VERSION.replace('+', '%2B')}"
    progress(f"Fetching k3s {VERSION}")
    sums = await download.text(f"{release}/sha256sum-{architecture}.txt")
    digests = [line.split()[0] for line in sums.splitlines() if line.split()[1:] == [asset]]
    if not digests:
        raise FailedPrecondition("DOWNLOAD_INTEGRITY", f"No digest was published for {asset} of k3s {VERSION}.")
    await download.fetch(f"{release}/{asset}", program, digests[0], progress)


def _copy(source: Path, program: Path) -> None:
    source = source.expanduser()
    if not source.is_file():
        text = f"{source} is not a program that could be k3s."
        raise NotFound("K3S_MISSING", text, field="k3s", hint="Name the file that was downloaded with --k3s.")
    draft = program.with_suffix(".part")
    shutil.copyfile(source, draft)
    draft.chmod(0o755)
    draft.replace(program)


def _write_kubectl(found: K3s) -> None:
    path = found.state.bin / "kubectl"
    path.unlink(missing_ok=True)  # through a link it would be k3s itself that is written
    path.write_text(f'#!/bin/sh\nexec {shlex.join([str(found.program), found.data_option])} kubectl "$@"\n')
    path.chmod(0o755)


def start(state: State, root: Root) -> None:
    """Serve it from now on, over boots where systemd is; one that runs goes on. Raises what `root` does."""
    found = K3s(state)
    if _SYSTEMD.exists():
        write = 'printf %s "$1" > "$2" && chmod 644 "$2"'
        root(["sh", "-c", write, "sh", unit(found), str(UNIT)], f"has systemd know it: {UNIT}")
        root(["systemctl", "daemon-reload"], "has systemd read that")
        root(["systemctl", "enable", "--now", "--no-block", UNIT.name], "starts it, now and at every boot")
        return
    why = "starts it; there is no systemd to start it at the next boot"
    root(["sh", "-c", _APART, "sh", _SERVE, str(found.lock), str(found.log), *found.server()], why)


_APART = 'nohup setsid sh -c "$@" > /dev/null 2>&1 < /dev/null &'
"""What is given runs in a session of its own: neither a Ctrl-C nor the end of a terminal is meant for it, also that of
sudo's, which may come before there is that session.
"""

_SERVE = """
umask 077
exec 9>> "$0"
flock -n 9 || exit 0
log=$1
shift
exec > "$log" 2>&1
umask 022
"$@" 9>&- &
echo $! > "$0"
wait
"""
"""Holds the lock until k3s, whose child it is, has ended: as long the pid in it is that of no other process. What k3s
starts outlives it, and must not have the lock.
"""


def served_by_systemd(state: State) -> bool:
    """Whether there is a unit, and it is that of this state directory."""
    return UNIT.exists() and f" {_word(K3s(state).data_option)} " in UNIT.read_text()


def unit(found: K3s) -> str:
    """What systemd is told. It unpacks itself before it says that it is ready, which takes as long as the disk does."""
    runs = " ".join(map(_word, found.server()))
    return (
        "[Unit]\nDescription=Kubernetes of vibespace\nAfter=network-online.target\nWants=network-online.target\n\n"
        "[Service]\nType=notify\nTimeoutStartSec=0\nKillMode=process\nDelegate=yes\nLimitNOFILE=1048576\n"
        f"TasksMax=infinity\nRestart=always\nRestartSec=5\nExecStart={runs}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


def _word(text: str) -> str:
    """As systemd reads a word: `%` and `$` begin something else there (systemd.service(5), command lines)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@:,./=+%-]+", text) else f'"{escaped}"'


@contextmanager
def in_memory() -> Iterator[Path]:
    """A file that has no name on any disk, and is gone with the context or with this process."""
    descriptor = os.memfd_create("kubeconfig")
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


async def ready(state: State, root: Root, admin: Path, progress: Progress) -> str:
    """Return when its one node is ready, with its name; `admin`, which is `in_memory`, is then a kubeconfig of who may
    do everything there.

    Raises Aborted CLUSTER_NOT_READY.
    """
    progress("Waiting for the cluster")
    try:
        async with asyncio.timeout(READY_SECONDS):
            await _written(K3s(state), root, admin)
            return await _node_ready(admin, progress)
    except TimeoutError as e:
        raise Aborted(
            "CLUSTER_NOT_READY",
            f"The cluster was not ready within {READY_SECONDS:.0f} s.",
            hint=f"'journalctl -u {UNIT.stem}', or {K3s(state).log}, says why.",
        ) from e


async def _written(found: K3s, root: Root, admin: Path) -> None:
    wait = 'until [ -s "$0" ]; do sleep 1; done; cat "$0"'
    command = ["timeout", f"{READY_SECONDS + 5:.0f}", "sh", "-c", wait, str(found.admin)]
    text = await asyncio.to_thread(root, command, "reads how an administrator logs in, once it is written")
    await asyncio.to_thread(admin.write_text, text)


async def _node_ready(admin: Path, progress: Progress) -> str:
    api = Api(admin)
    try:
        while True:
            try:
                nodes = (await api.list(NODES))["items"]
            except Error as e:
                progress(f"Waiting for the cluster: {e.message[:60]}")
            else:
                for node in nodes:
                    if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"]):
                        return str(node["metadata"]["name"])
            await asyncio.sleep(_LOOK)
    finally:
        await api.close()


def import_image(state: State, tar: Path, root: Root) -> None:
    """Have the node have all images of a docker-archive."""
    found = K3s(state)
    command = [str(found.program), found.data_option, "ctr", "images", "import", str(tar)]
    root(command, "gives the agents' image to the cluster")
