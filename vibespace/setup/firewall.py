"""One rule of this machine's firewall: nothing passes from one vibespace's network to another's.

Podman's own isolation is not enough: netavark 1.4, which Debian 12 has, forgets it for all networks when the last
container of any one network ends, until the next one starts. The rule is ours alone and names no network, so it
needs no care when they come and go; a boot forgets it, and it is made again when Podman is next started.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from vibespace.errors import Aborted

_BRIDGE = re.compile("vs[0-9a-f]{12}")
_ROUTED = ("-i", "vs+", "-o", "vs+")
_NOT_BRIDGED = (*_ROUTED, "-m", "physdev", "!", "--physdev-is-bridged")
_DROP = ("-m", "comment", "--comment", "vibespace", "-j", "DROP")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
"""There where the kernel shows the firewall also what stays inside one bridge, which must pass."""


def keep_networks_apart() -> None:
    """Make the rule, where it is not there. Needs root. Raises Aborted FIREWALL_REFUSED."""
    # physdev would load br_netfilter, which changes how all bridges of the machine behave: only where it is anyway.
    wanted, other = (_NOT_BRIDGED, _ROUTED) if _BRIDGE_FILTER.exists() else (_ROUTED, _NOT_BRIDGED)
    if _mangle("-C", *wanted).returncode == 0:
        return
    made = _mangle("-I", *wanted)
    if made.returncode != 0:
        raise Aborted(
            "FIREWALL_REFUSED",
            f"The firewall does not take the rule that keeps vibespaces apart: {made.stderr.strip()}",
            hint="See 'iptables -t mangle -S FORWARD' as root.",
        )
    if wanted is _NOT_BRIDGED:
        _mangle("-D", *other)


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
    """Take the rule away; where it is not there, nothing happens."""
    for rule in (_ROUTED, _NOT_BRIDGED) if _BRIDGE_FILTER.exists() else (_ROUTED,):
        _mangle("-D", *rule)


def _mangle(verb: str, *match: str) -> subprocess.CompletedProcess[str]:
    """The mangle table comes before the one in which others, netavark too, accept."""
    command = [_program(), "-w", "-t", "mangle", verb, "FORWARD", *match, *_DROP]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _program() -> str:
    """Where it is, also for users whose PATH lacks sbin."""
    return shutil.which("iptables", path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin") or "iptables"
