"""k3s on this Linux machine: fetched, served from the state directory, and taken away again with all that it leaves.

What needs root is a list of commands: whoever types `init` is shown each before it runs, and the daemon runs none.
"""

from __future__ import annotations

import asyncio
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vibespace import durable
from vibespace.engine.kubeapi import Api
from vibespace.errors import Aborted, Error, FailedPrecondition, NotFound
from vibespace.setup import download
from vibespace.setup.build import Progress
from vibespace.state import State

VERSION = "v1.34.3+k3s1"
RELEASES = "https://github.com/k3s-io/k3s/releases/download"
_ARCHITECTURES = {"x86_64": ("k3s", "amd64"), "aarch64": ("k3s-arm64", "arm64")}

READY_SECONDS = 300.0

UNIT = Path("/etc/systemd/system/vibespace-k3s.service")
_ADDRESSES = "/var/lib/cni/networks/cbr0"
"""Which addresses pods have; beside it lie those of other programs."""

_THEIRS = ("/etc/rancher/k3s", "/etc/kubernetes", "/var/lib/rancher")
"""Where one is that somebody else has installed."""

Root = Callable[[Sequence[str], str], str]
"""Runs a command as root, after saying what it is for; what it prints. Raises Aborted ROOT_REFUSED."""


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
    def admin(self) -> Path:
        """Root's alone: who may do everything there."""
        return self.data / "admin.kubeconfig"

    def server(self) -> list[str]:
        """What is run, as root."""
        written = (f"--write-kubeconfig={self.admin}", "--write-kubeconfig-mode=0600")
        spared = ("--disable=traefik", "--disable=servicelb", "--disable=metrics-server", "--disable-helm-controller")
        return [str(self.program), "server", f"--data-dir={self.data}", *written, *spared]


def refuse(state: State) -> None:
    """Raises FailedPrecondition where there can be none: no Linux, or another one is here already."""
    if sys.platform != "linux":
        raise FailedPrecondition(
            "BARE_METAL_LINUX",
            "A cluster of our own runs on Linux only.",
            hint="'vibespace init' uses Podman or Docker here, and 'init --external' any cluster that is there.",
        )
    if state.k3s.exists():
        return
    there = [path for path in _THEIRS if Path(path).exists()]
    if there:
        raise FailedPrecondition(
            "KUBERNETES_THERE",
            f"There is a Kubernetes on this machine already, which has {there[0]}.",
            hint="'vibespace init --external --kubeconfig PATH' uses it.",
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
    await asyncio.to_thread(_link, state.bin / "kubectl")


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


def _link(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("k3s")


def start(state: State, root: Root) -> None:
    """Serve it from now on, over boots where systemd is. Raises what `root` does."""
    found = K3s(state)
    if Path("/run/systemd/system").exists():
        text = _unit(found)
        root(["sh", "-c", f"printf %s {shlex.quote(text)} > {UNIT}"], f"has systemd know it: {UNIT}")
        root(["systemctl", "daemon-reload"], "has systemd read that")
        root(["systemctl", "enable", "--now", UNIT.name], "starts it, now and at every boot")
        return
    log = shlex.quote(str(state.home / "k3s.log"))
    pid = shlex.quote(str(state.home / "k3s.pid"))
    runs = f'[ -r {pid} ] && kill -0 "$(cat {pid})" 2>/dev/null'
    script = f"{runs} || {{ setsid {shlex.join(found.server())} > {log} 2>&1 < /dev/null & echo $! > {pid}; }}"
    root(["sh", "-c", f"umask 077; {script}"], "starts it; there is no systemd to start it at the next boot")


def _unit(found: K3s) -> str:
    return (
        "[Unit]\nDescription=Kubernetes of vibespace\nAfter=network-online.target\nWants=network-online.target\n\n"
        "[Service]\nType=notify\nKillMode=process\nDelegate=yes\nLimitNOFILE=1048576\nTasksMax=infinity\n"
        f"Restart=always\nRestartSec=5\nExecStart={shlex.join(found.server())}\n\n[Install]\nWantedBy=multi-user.target\n"
    )


async def ready(state: State, root: Root, admin: Path, progress: Progress) -> str:
    """Return when its one node is ready, with its name; `admin` is then a kubeconfig of who may do everything there.

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
            hint=f"'journalctl -u {UNIT.stem}', or {state.home / 'k3s.log'}, says why.",
        ) from e


async def _written(found: K3s, root: Root, admin: Path) -> None:
    while True:
        try:
            text = await asyncio.to_thread(root, ["cat", str(found.admin)], "reads how an administrator logs in, once")
            await asyncio.to_thread(durable.replace, admin, text.encode())
        except Error:
            await asyncio.sleep(1)
        else:
            return


async def _node_ready(admin: Path, progress: Progress) -> str:
    api = Api(admin)
    try:
        while True:
            try:
                nodes = (await api.list("/api/v1/nodes"))["items"]
            except Error as e:
                progress(f"Waiting for the cluster: {e.message[:60]}")
            else:
                for node in nodes:
                    if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"]):
                        return str(node["metadata"]["name"])
            await asyncio.sleep(1)
    finally:
        await api.close()


def import_image(state: State, tar: Path, root: Root) -> None:
    """Have the node have all images of a docker-archive."""
    root([str(K3s(state).program), "ctr", "images", "import", str(tar)], "gives the agents' image to the cluster")


def stop(state: State, root: Root) -> None:
    """End it and all that it runs; its data stays."""
    if UNIT.exists():
        root(["systemctl", "disable", "--now", UNIT.name], "ends the cluster")
        root(["rm", "-f", str(UNIT)], "has systemd forget it")
        root(["systemctl", "daemon-reload"], "has systemd read that")
    root(["sh", "-c", _END, "sh", str(state.home / "k3s.pid"), str(state.k3s)], "ends what the cluster still runs")


def remove(state: State, root: Root) -> None:
    """What is left of it, its volumes among it."""
    stop(state, root)
    paths = ("/etc/rancher/k3s", "/etc/rancher/node", "/var/lib/kubelet", "/run/k3s", "/run/flannel", _ADDRESSES)
    root(["rm", "-rf", "--one-file-system", str(state.k3s), *paths], "takes away what it has left")
    root(["sh", "-c", "rmdir /etc/rancher 2>/dev/null; true"], "takes away what it has left")


_END = r"""
socket=/run/k3s/containerd
socket=$socket/containerd.sock
[ ! -r "$1" ] || kill "$(cat "$1")" 2>/dev/null
rm -f "$1"
for process in /proc/[0-9]*; do
  case "$(tr '\0' ' ' < "$process/cmdline" 2>/dev/null)" in
    *"$socket"*|*"--data-dir=$2 "*) kill -9 "${process#/proc/}" 2>/dev/null ;;
  esac
done
sleep 1
while read -r _ place _; do
  case "$place" in
    /run/k3s*|/var/lib/kubelet/*|/run/netns/cni-*|"$2"/*) umount -l "$place" 2>/dev/null ;;
  esac
done < /proc/mounts
for link in cni0 flannel.1; do ip link delete "$link" 2>/dev/null; done
for family in iptables ip6tables; do
  "$family-save" 2>/dev/null | grep -q KUBE- || continue
  "$family-save" | grep -v -e KUBE- -e CNI- -e FLANNEL- -e cali | "$family-restore"
done
true
"""
"""As k3s's own k3s-killall.sh does, of what is this one's. In two pieces, what it looks for is not found in itself."""
