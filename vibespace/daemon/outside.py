"""What lies outside the state directory; why it must is in docs/decisions/0002."""

from __future__ import annotations

from collections.abc import Sequence

from vibespace.domain.host import Host
from vibespace.engine.base import FAKE, KUBERNETES

_KERNEL = "network interfaces vs…, their routes, mounts and control groups: while agents run"
_OF_ROOT = {
    "podman": (
        _KERNEL,
        "firewall rules of the engine, and ours with the comment 'vibespace': until the next boot",
        "/var/lib/containers/cache: where layers came from, for all Podmans of root; it stays",
        "/run/containers/networks, /run/runc, /run/netns: the engine's notes of what runs, until the next boot",
    ),
    "docker": (
        _KERNEL,
        "firewall rules of the engine: while it runs",
        "ours with the comment 'vibespace', once a network was closed: until the next boot",
    ),
}
_OF_A_USER = ("namespaces of this user, with his containers' networks, firewall rules and mounts: while agents run",)

K3S_OUTSIDE = (
    "/etc/rancher/k3s/k3s.yaml, /etc/rancher/node, /run/k3s, /run/flannel, /var/lib/kubelet, /var/log/pods, "
    "/var/log/containers, and of its network cbr0 in /var/lib/cni: what the cluster here runs by, and notes",
    "interfaces cni0, flannel.1 and veth…, namespaces cni-… in /run/netns, mounts of its pods: while it runs",
    "firewall rules KUBE-, FLANNEL-, and CNI- of its network: until an uninstall, or the next boot",
    "control groups kubepods, and sets of addresses that those rules speak of: until the next boot",
    "/etc/systemd/system/vibespace-k3s.service, where there is systemd: until an uninstall",
)
"""What k3s has outside the state directory; `uninstall` takes away what outlives it on a disk or hinders others, unless
there is another Kubernetes that may have it too.
"""

UNTIL_REMOVED = "until 'vibespace ssh-config --remove'"
"""How long lines of ours are in the user's own settings of ssh."""


def listing(host: Host | None) -> Sequence[str]:
    """One line a thing, for people."""
    if host is None or not host.engine or host.engine["brand"] == FAKE:
        return ()
    if host.engine["brand"] == KUBERNETES:
        own = K3S_OUTSIDE if host.engine["private"] else ()
        return (
            *own,
            f"Deployments, claims, Secrets, Services and NetworkPolicies labelled vibespace.log={host.uid}: in "
            f"{host.engine['address']}",
            "the namespace, and in it the account 'vibespace' with its Role, which stay after an uninstall",
        )
    kernel = _OF_A_USER if host.engine["rootless"] else _OF_ROOT[host.engine["brand"]]
    if host.engine["private"]:
        return kernel
    where = host.engine["address"]
    theirs = f"containers, volumes and networks labelled vibespace.log={host.uid}: in {where}"
    return (
        theirs,
        f"the agents' images, their base and what their build has left, which stay after an uninstall: in {where}",
        *kernel,
    )
