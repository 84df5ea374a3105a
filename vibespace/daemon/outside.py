"""What lies outside the state directory; why it must is in docs/decisions/0002."""

from __future__ import annotations

from collections.abc import Sequence

from vibespace.domain.host import Host
from vibespace.engine.base import FAKE

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

UNTIL_REMOVED = "until 'vibespace ssh-config --remove'"
"""How long lines of ours are in the user's own settings of ssh."""


def listing(host: Host | None) -> Sequence[str]:
    """One line a thing, for people."""
    if host is None or not host.engine or host.engine["brand"] == FAKE:
        return ()
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
