"""What lies outside the state directory, and why it must (docs/decisions/0002)."""

from __future__ import annotations

from collections.abc import Sequence

from vibespace.domain.host import Host


def listing(host: Host | None) -> Sequence[str]:
    """One sentence a thing, for people."""
    if host is None or not host.engine or host.engine["brand"] == "fake":
        return []
    kept = "in the state directory" if host.engine["private"] else f"in the storage of {host.engine['address']}"
    return [
        f"containers, volumes and the agents' image: {kept}",
        "a network interface vs… a vibespace, with the engine's firewall rules: in the kernel, while it runs",
        "control groups of running containers: in the kernel",
    ]
