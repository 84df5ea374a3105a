"""What agents of open networks do not reach: this machine itself, and private networks that it leads to.

Two chains in this machine's firewall, one for what comes to it and one for what goes through it, hold what all
vibespaces have in common. What `network.allow` opens are rules in front, each for one bridge, with a comment that says
whose they are and what they open: the firewall is the only place where that is noted. A boot forgets all of it; each
daemon makes it when it starts, and before an agent starts. docs/decisions/0005 says why so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from ipaddress import IPv6Network, ip_network
from pathlib import Path

from vibespace.config import parse_allowance
from vibespace.errors import Aborted
from vibespace.setup import iptables
from vibespace.setup.path import program

Allowance = tuple[str, str]
"""A bridge, and CIDR:PORT."""

_HOST, _OUT = "vibespace-host", "vibespace-out"
_BEGINS = "-m conntrack ! --ctstate ESTABLISHED,RELATED -m comment --comment vibespace"
"""Answers pass, such as those of every sshd inside."""
_JUMPS = {
    _HOST: f"INPUT -i vs+ {_BEGINS} -j {_HOST}",
    _OUT: f"FORWARD -i vs+ ! -o vs+ {_BEGINS} -j {_OUT}",  # between vibespaces nothing passes: see firewall.py
}
_NAMES = "--dport 53 -m addrtype --dst-type LOCAL --limit-iface-in -j RETURN"
"""The network's own name server, on the bridge that the question comes by."""
_NEIGHBOUR = "-p ipv6-icmp --icmpv6-type neighbour-{} -j RETURN"
_PASSES = {
    "iptables": tuple(f"-p {protocol} {_NAMES}" for protocol in ("udp", "tcp")),
    "ip6tables": tuple(_NEIGHBOUR.format(kind) for kind in ("solicitation", "advertisement")),
}
"""What passes to this machine in every case. Without the second, nothing that is opened is found by IPv6."""
_AZURE = "168.63.129.16/32"
"""Tells a machine there who it is, as 169.254.169.254 does."""
_PRIVATE = {
    "iptables": ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", _AZURE),
    "ip6tables": ("fc00::/7", "fe80::/10"),
}
_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""What names this machine's name servers, to which Docker passes questions on from inside."""
_MACHINE = "machine"
"""Owner of what all installations need alike. No log has this id."""
_OURS = re.compile(r' -i (\S+) .*--comment "vibespace (\S*) (\S+)"')


def hold(owner: str, allowed: Collection[Allowance]) -> None:
    """See that all of it is there, and of what `owner` (a log_id) has opened exactly this; who is not root cannot.

    Raises Aborted FIREWALL_REFUSED; then nothing has changed for that family of addresses.
    """
    if os.geteuid() != 0:
        return
    everything = {(owner, each) for each in allowed} | {(_MACHINE, each) for each in _name_servers()}
    for family in iptables.families():
        there = iptables.rules(family)
        wanted = {(whose, each) for whose, each in everything if _family(each) == family}
        open_now = {(whose, each) for whose in (owner, _MACHINE) for each in _opened(there, whose)}
        lines = [
            *(() if _whole(there) else _chains(family, there)),
            *(rule for whose, each in sorted(open_now - wanted) for rule in _rules("-D", whose, each)),
            *(rule for whose, each in sorted(wanted - open_now) for rule in _rules("-I", whose, each)),
        ]
        if lines:
            iptables.change(family, *lines)


def impossible() -> str:
    """Why it cannot hold here, a clause; empty when it can."""
    if os.geteuid() != 0:
        return "only root can guard this machine, and the daemon does not run as root"
    lacking = [family for family in iptables.families() if not program(family)]
    return f"there is no {lacking[0]} on this machine" if lacking else ""


def missing() -> str:
    """Why it does not hold here now, a clause; empty when it does."""
    if reason := impossible():
        return reason
    if all(_whole(iptables.rules(family)) for family in iptables.families()):
        return ""
    return "its rules have gone from this machine's firewall, until an agent next starts"


def release(owner: str) -> None:
    """Take away what `owner` has opened."""
    for family in iptables.families():
        opened = sorted(set(_opened(_found(family), owner)))
        if opened:
            iptables.change(family, *(rule for each in opened for rule in _rules("-D", owner, each)))


def remove() -> None:
    """Take all of it away; where it is not there, nothing happens."""
    for family in iptables.families():
        there = _found(family)
        jumps = [line.replace("-A ", "-D ", 1) for line in there if line.endswith((f"-j {_HOST}", f"-j {_OUT}"))]
        chains = [chain for chain in (_HOST, _OUT) if any(line.startswith(f":{chain} ") for line in there)]
        if jumps or chains:
            iptables.change(family, *jumps, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains))


def _name_servers() -> Iterator[Allowance]:
    """Those of this machine: what they say, agents are told by their network's own in any case."""
    for path in _RESOLVERS:
        lines = path.read_text(errors="replace").splitlines() if path.exists() else ()
        for words in map(str.split, lines):
            with suppress(ValueError):
                if words[:1] == ["nameserver"] and not (address := ip_network(words[-1])).is_loopback:
                    yield "vs+", f"{address}:53"


def _found(family: str) -> list[str]:
    """What there is to take away: nothing where the firewall does not even show itself."""
    try:
        return iptables.rules(family)
    except Aborted:
        return []


def _whole(there: list[str]) -> bool:
    """A chain is filled by the same change that first leads to it."""
    return all(any(line.endswith(f"-j {chain}") for line in there) for chain in _JUMPS)


def _chains(family: str, there: list[str]) -> Iterator[str]:
    """Both chains anew: declaring one empties it, so what others have opened is closed until they next hold theirs."""
    yield from (f":{chain} - [0:0]" for chain in _JUMPS)
    yield from (f"-A {_HOST} {rule}" for rule in _PASSES[family])
    yield f"-A {_HOST} -j DROP"
    yield from (f"-A {_OUT} -d {network} -j DROP" for network in _PRIVATE[family])
    for chain, jump in _JUMPS.items():
        if not any(line.endswith(f"-j {chain}") for line in there):
            yield f"-I {jump}"


def _opened(there: list[str], owner: str) -> Iterator[Allowance]:
    for line in there:
        found = _OURS.search(line)
        if found and found[2] == owner:
            yield found[1], found[3]


def _rules(verb: str, owner: str, allowed: Allowance) -> Iterator[str]:
    bridge, text = allowed
    network, port = parse_allowance(text)
    for chain in _JUMPS:
        for protocol in ("tcp", "udp"):
            comment = f'-m comment --comment "vibespace {owner} {text}"'
            yield f"{verb} {chain} -i {bridge} -d {network} -p {protocol} --dport {port} {comment} -j RETURN"


def _family(allowed: Allowance) -> str:
    return "ip6tables" if isinstance(parse_allowance(allowed[1])[0], IPv6Network) else "iptables"
