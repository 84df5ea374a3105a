"""What a k3s of ours runs and leaves on this machine: ended, and taken away.

Processes, mounts and files that carry its data directory are ours. Others lie where no setting moves them, and are
those of whichever Kubernetes is here: they are ours as long as there is none but ours, which `k3s.refuse` saw to.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from vibespace.setup import k3s, tree
from vibespace.setup.k3s import K3s
from vibespace.setup.path import program
from vibespace.setup.root import Root
from vibespace.state import State

SHARED = (
    "/etc/rancher/k3s/k3s.yaml",
    "/etc/rancher/node",
    "/run/k3s",
    "/run/flannel",
    "/var/lib/kubelet",
    "/var/lib/cni/flannel",
    "/var/lib/cni/networks/cbr0",
    "/var/log/pods",
    "/var/log/containers",
)
"""What k3s has outside its data directory; daemon/outside.py tells of it."""

_MOUNTED = ("/run/k3s", "/var/lib/kubelet")
"""Those of them in which it mounts what pods see."""

_EMPTIED = ("/etc/rancher/k3s", "/etc/rancher", "/var/lib/cni/networks", "/var/lib/cni/results", "/var/lib/cni")
"""Where others may have something too."""

_LINKS = ("cni0", "flannel.1", "flannel-v6.1")


def there(state: State) -> bool:
    """Whether there is one of this state directory, recorded or not: an `init` may have begun it, and not ended."""
    return state.k3s.exists() or K3s(state).lock.exists() or k3s.served_by_systemd(state)


def outside(state: State, *, keep_data: bool) -> list[str]:
    """What of it lies outside the state directory and will go, for people; with its data what it has noted stays."""
    if not there(state):
        return []
    found = [str(k3s.UNIT)] if k3s.served_by_systemd(state) else []
    if others():
        return found
    if links := _links():
        found += [f"interfaces {' and '.join(links)}", "firewall rules KUBE-, FLANNEL-, and CNI- of its network cbr0"]
    return found if keep_data else [*found, *(path for path in SHARED if os.path.lexists(path))]


def left(state: State) -> list[str]:
    """What of it may be another's as well, and stays, for people."""
    if not there(state) or not (theirs := others()):
        return []
    found = [path for path in SHARED if os.path.lexists(path)]
    return [f"{path}, for there is another Kubernetes, which has {theirs[0]}" for path in found]


def others() -> Sequence[str]:
    """Where another Kubernetes is, that has come after ours."""
    return [path for path in k3s.THEIRS if Path(path).exists()]


def stop(state: State, root: Root) -> None:
    """End it and all that it runs; its data stays. Raises what `root` does."""
    found = K3s(state)
    if k3s.served_by_systemd(state):
        root(["systemctl", "disable", "--now", k3s.UNIT.name], "ends the cluster")
        root(["rm", "-f", str(k3s.UNIT)], "has systemd forget it")
        root(["systemctl", "daemon-reload"], "has systemd read that")
    # Programs are told by where they really lie, whatever link leads to the state directory.
    data = os.path.realpath(found.data)
    root(["sh", "-c", _END, "sh", str(found.lock), data], "ends what the cluster runs")
    shared = () if others() else _MOUNTED
    if mounts := [point for top in (f"{data}/agent", *shared) for point in reversed(tree.mounts_below(Path(top)))]:
        root(["umount", "--lazy", *mounts], "unmounts what its pods had")
    if not others():
        root(["sh", "-c", _NAMESPACES], "takes away the networks of its pods")
        for name in _links():
            root(["ip", "link", "delete", name], "takes away its network")
        if program("iptables-save"):
            root(["sh", "-c", _RULES], "takes its rules out of the firewall")


def remove(state: State, root: Root) -> None:
    """What is left of it, its volumes among it. Raises what `root` does."""
    stop(state, root)
    shared = () if others() else SHARED
    if shared:
        root(["sh", "-c", _NOTES], "takes away what it has noted beside what others have")
    # The data last: as long as that is there, an uninstall that was cut off knows of the rest.
    root(["rm", "-rf", "--one-file-system", "--", *shared, str(state.k3s)], "takes away what it has left")
    root(["sh", "-c", _EMPTY, "sh", *_EMPTIED], "takes away what is empty now")


def _links() -> list[str]:
    return [name for _, name in socket.if_nameindex() if name in _LINKS]


_END = r"""
lock=$1 data=$2
held() { [ -e "$lock" ] && ! flock -n "$lock" true; }
ours() {  # what runs a program of the data directory, and all that it has started
  found=$(for each in /proc/[0-9]*; do
    case "$(readlink "$each/exe")" in "$data"/*) echo "${each#/proc/}" ;; esac
  done)
  grep -s ^PPid: /proc/[0-9]*/status | awk -F '[/:\t]+' -v found="$(echo $found)" '
    { parent[$3] = $6 }
    END {
      split(found, listed, " ")
      for (each in listed) ours[listed[each]]
      do {
        more = 0
        for (each in parent) if (!(each in ours) && parent[each] in ours) { ours[each]; more = 1 }
      } while (more)
      for (each in ours) print each
    }'
}
left=300
held && kill "$(cat "$lock")"
while held; do
  [ $left -gt 0 ] || kill -9 "$(cat "$lock")"
  [ $left -gt -300 ] || { echo "k3s does not end" >&2; exit 1; }
  sleep 0.1
  left=$((left - 1))
done
left=300
while found=$(ours) && [ -n "$found" ]; do
  kill -9 $found 2> /dev/null
  [ $left -gt 0 ] || { echo "these do not end:" $found >&2; exit 1; }
  sleep 0.1
  left=$((left - 1))
done
"""
"""k3s gets half a minute to end by itself, and then no more. Its containers, which outlive it, get none; they are
children of what runs from its data, for who lives in them cannot leave that.
"""

_NAMESPACES = r"""
grep -ohs '/run/netns/cni-[0-9a-f-]*' /var/lib/cni/results/cbr0-* | sort -u | while read -r place; do
  umount "$place" && rm "$place"
done
true
"""
"""Beside them are those of other programs. cbr0 is how k3s calls its network, and what is noted of that is its own."""

_RULES = r"""
for family in iptables ip6tables; do
  "$family-save" | awk '
    function target(  at) { for (at = 1; at < NF; at++) if ($at == "-j") return $(at + 1); return "" }
    /^\*/ { split("", chains); print; next }
    /^:(KUBE|FLANNEL)-/ { chains[substr($1, 2)]; next }
    /^-A/ && !($2 in chains) && (target() in chains || /name: \\"cbr0\\"/) {
      if (target() ~ /^CNI-[DS]N-/) chains[target()]
      sub(/^-A/, "-D"); print; next
    }
    /^COMMIT/ {
      for (each in chains) print "-F " each
      for (each in chains) print "-X " each
      print
    }' | "$family-restore" --noflush || exit 1
done
"""
"""Only what is to go is said, and all of a table at once: what others change meanwhile stays as they want it."""

_NOTES = "rm -f /var/lib/cni/results/cbr0-*"
_EMPTY = 'rmdir "$@" 2> /dev/null; true'
