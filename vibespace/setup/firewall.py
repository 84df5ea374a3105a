"""Our rules in this machine's firewall: nothing passes from one vibespace's network to another's, and nothing from a
closed one to this machine.

Podman's own isolation is not enough: netavark 1.4, which Debian 12 has, forgets it for all networks when the last
container of any one network ends, until the next one starts. And no engine keeps a closed network from the machine it
is on: every service that listens on all addresses, name servers included. The rules are ours alone and name no network,
so they need no care when those come and go; a boot forgets them. The first is made again when Podman is next started,
the second before an agent of a closed network is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vibespace.errors import Aborted, FailedPrecondition

_BRIDGE = re.compile("vsn?[0-9a-f]{12}")
_ROUTED = ("-i", "vs+", "-o", "vs+")
_NOT_BRIDGED = (*_ROUTED, "-m", "physdev", "!", "--physdev-is-bridged")
_FROM_CLOSED = ("-i", "vsn+", "-m", "conntrack", "!", "--ctstate", "ESTABLISHED,RELATED")
"""What a container of a closed network begins; answers to us pass. engine/bodies.py names the bridges."""
_DROP = ("-m", "comment", "--comment", "vibespace", "-j", "DROP")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""There where the kernel shows the firewall also what stays inside one bridge, which must pass."""


@dataclass(frozen=True)
class Inside:
    """Where the networks are: this machine's own place for them, or one that a command enters."""

    enter: Sequence[str] = ()
    environment: Mapping[str, str] | None = None


HOST = Inside()


def keep_networks_apart(inside: Inside = HOST) -> None:
    """Make the rule, where it is not there. Needs root, or a user's own networks. Raises Aborted FIREWALL_REFUSED."""
    # physdev would load br_netfilter, which changes how all bridges of the machine behave: only where it is anyway.
    wanted, other = (_NOT_BRIDGED, _ROUTED) if _BRIDGE_FILTER.exists() else (_ROUTED, _NOT_BRIDGED)
    if _mangle(inside, "-C", *wanted).returncode == 0:
        return
    made = _mangle(inside, "-I", *wanted)
    if made.returncode != 0:
        raise Aborted(
            "FIREWALL_REFUSED",
            f"The firewall does not take the rule that keeps vibespaces apart: {made.stderr.strip()}",
            hint="See 'iptables -t mangle -S FORWARD' as root.",
        )
    if wanted is _NOT_BRIDGED:
        _mangle(inside, "-D", *other)


def close_networks() -> None:
    """Keep closed networks from this machine, of which they would reach all that listens, where nothing does it yet.

    Raises FailedPrecondition NETWORK_NOT_CLOSED for who is not root, Aborted FIREWALL_REFUSED.
    """
    if os.geteuid() != 0:
        raise FailedPrecondition(
            "NETWORK_NOT_CLOSED", "only root can close a network to this machine", hint="Leave --network out."
        )
    for family in _families():
        if _mangle(HOST, "-C", *_FROM_CLOSED, chain="INPUT", family=family).returncode == 0:
            continue
        made = _mangle(HOST, "-I", *_FROM_CLOSED, chain="INPUT", family=family)
        if made.returncode != 0:
            raise Aborted(
                "FIREWALL_REFUSED",
                f"the firewall does not take the rule that closes networks: {made.stderr.strip()}",
                hint=f"See '{family} -t mangle -S INPUT' as root.",
            )


def remove_unless_used() -> None:
    """Take the rule away, unless another installation of this machine needs it now. Needs root.

    A daemon that starts makes it before it opens an engine, so one that came while we looked is seen afterwards.
    """
    if shutil.which(_program()) and not _used():
        remove()
        if _used():
            keep_networks_apart()


def _used() -> bool:
    """Whether a network of ours is there, or a daemon that may make one; this installation's have gone."""
    if any(_BRIDGE.fullmatch(path.name) for path in Path("/sys/class/net").iterdir()):
        return True
    return any(_is_daemon(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def _is_daemon(path: Path) -> bool:
    try:
        return b"vibespace.daemon" in path.read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def remove() -> None:
    """Take the rules away; where they are not there, nothing happens."""
    for rule in (_ROUTED, _NOT_BRIDGED) if _BRIDGE_FILTER.exists() else (_ROUTED,):
        _mangle(HOST, "-D", *rule)
    for family in _families():
        _mangle(HOST, "-D", *_FROM_CLOSED, chain="INPUT", family=family)


def _families() -> tuple[str, ...]:
    """Bridges have link-local addresses wherever there is IPv6 at all."""
    return ("iptables", "ip6tables") if Path("/proc/net/if_inet6").exists() else ("iptables",)


def _mangle(
    inside: Inside, verb: str, *match: str, chain: str = "FORWARD", family: str = "iptables"
) -> subprocess.CompletedProcess[str]:
    """The mangle table comes before the one in which others, netavark too, accept."""
    command = [*inside.enter, _program(family), "-w", "-t", "mangle", verb, chain, *match, *_DROP]
    return subprocess.run(command, env=inside.environment, capture_output=True, text=True, check=False)


def _program(family: str = "iptables") -> str:
    """Where it is, also for users whose PATH lacks sbin."""
    return shutil.which(family, path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin") or family
