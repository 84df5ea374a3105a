"""Our rules in this machine's firewall: nothing passes from one vibespace's network to another's, and nothing from a
closed one to this machine.

Podman's own isolation is not enough: netavark 1.4, which Debian 12 has, forgets it for all networks when the last
container of any one network ends, until the next one starts. And no engine keeps a closed network from the machine it
is on: every service that listens on all addresses, name servers included. The rules are ours alone and name no network,
so they need no care when those come and go; a boot forgets them. The first is made again when Podman is next started,
the second before an agent of a closed network is. What open networks do not reach is guard.py's.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from vibespace.errors import Aborted, FailedPrecondition
from vibespace.setup import guard, iptables, processes
from vibespace.setup.iptables import HOST, Inside
from vibespace.setup.path import program

_BRIDGE = re.compile("vsn?[0-9a-f]{12}")
_ROUTED = ("-i", "vs+", "-o", "vs+")
_NOT_BRIDGED = (*_ROUTED, "-m", "physdev", "!", "--physdev-is-bridged")
_FROM_CLOSED = ("-i", "vsn+", "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED")
"""What a container of a closed network begins; answers to us pass. engine/bodies.py names the bridges."""
_DROP = ("-m", "comment", "--comment", "vibespace", "-j", "DROP")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""There where the kernel shows the firewall also what stays inside one bridge, which must pass."""


def keep_networks_apart(inside: Inside = HOST) -> None:
    """Make the rule, where it is not there. Needs root, or a user's own networks. Raises Aborted FIREWALL_REFUSED."""
    # physdev would load br_netfilter, which changes how all bridges of the machine behave: only where it is anyway.
    wanted, other = (_NOT_BRIDGED, _ROUTED) if _BRIDGE_FILTER.exists() else (_ROUTED, _NOT_BRIDGED)
    refused = "The firewall does not take the rule that keeps vibespaces apart"
    if _make("FORWARD", wanted, refused, inside=inside) and wanted is _NOT_BRIDGED:
        iptables.mangle("-D", "FORWARD", *other, *_DROP, inside=inside)


def close_networks() -> None:
    """Keep closed networks from this machine, of which they would reach all that listens, where nothing does it yet.

    Raises FailedPrecondition NETWORK_NOT_CLOSED for who is not root, Aborted FIREWALL_REFUSED.
    """
    if os.geteuid() != 0:
        raise FailedPrecondition(
            "NETWORK_NOT_CLOSED", "only root can close a network to this machine", hint="Leave --network out."
        )
    for family in iptables.families():
        _make("INPUT", _FROM_CLOSED, "the firewall does not take the rule that closes networks", family=family)


def remove_unless_used() -> None:
    """Take the rules away, unless another installation of this machine needs them now. Needs root.

    A daemon that starts makes them before it opens an engine, so one that came while we looked is seen afterwards.
    """
    if program("iptables") and not _used():
        remove()
        if _used():
            keep_networks_apart()
            close_networks()
            guard.hold("", ())


def _make(chain: str, rule: tuple[str, ...], refused: str, *, family: str = "iptables", inside: Inside = HOST) -> bool:
    """Make the rule; False when it was there. Raises Aborted FIREWALL_REFUSED, whose sentence begins with `refused`."""
    if iptables.mangle("-C", chain, *rule, *_DROP, family=family, inside=inside).returncode == 0:
        return False
    made = iptables.mangle("-I", chain, *rule, *_DROP, family=family, inside=inside)
    if made.returncode != 0:
        hint = f"See '{family} -t mangle -S {chain}' as root."
        raise Aborted("FIREWALL_REFUSED", f"{refused}: {made.stderr.strip()}", hint=hint)
    return True


def _used() -> bool:
    """Whether a network of ours is there, or a daemon that may make one; this installation's have gone."""
    if any(_BRIDGE.fullmatch(name) for _, name in socket.if_nameindex()):
        return True
    return bool(processes.having(processes.DAEMON))


def remove() -> None:
    """Take the rules away; where they are not there, nothing happens."""
    for rule in (_ROUTED, _NOT_BRIDGED) if _BRIDGE_FILTER.exists() else (_ROUTED,):
        iptables.mangle("-D", "FORWARD", *rule, *_DROP)
    for family in iptables.families():
        iptables.mangle("-D", "INPUT", *_FROM_CLOSED, *_DROP, family=family)
    guard.remove()
