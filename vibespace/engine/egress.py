"""What agents of a vibespace may reach beside each other, as rules of its NetworkPolicy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

Object = dict[str, Any]

NODES_NAMES = "169.254.20.10/32"
"""https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns"""

PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "168.63.129.16/32",  # tells a machine at Azure who it is, as 169.254.169.254 does
)


def _translated(private: str) -> str:
    """Where a network that has IPv6 alone reaches it by NAT64 (RFC 6052)."""
    network = IPv4Network(private)
    first = int(IPv6Address("64:ff9b::")) | int(network.network_address)
    return str(IPv6Network((first, 96 + network.prefixlen)))


PRIVATE_6 = ("fc00::/7", "fe80::/10", "::1/128", *map(_translated, PRIVATE))


def names() -> Object:
    """The cluster's name servers, wherever they are: pods by the names that clusters give them, or each node's own."""
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    called = {"key": "k8s-app", "operator": "In", "values": ["kube-dns", "coredns", "node-local-dns"]}
    those = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [called]}}
    return {"to": [those, {"ipBlock": {"cidr": NODES_NAMES}}], "ports": ports}


def internet(closed: Sequence[str]) -> Object:
    """All addresses but private ones, and those of the cluster's own machines."""
    private = [ip_network(each) for each in (*PRIVATE, *PRIVATE_6)]
    more = {each for each in closed if not any(_within(each, other) for other in private)}
    four = [*PRIVATE, *sorted(each for each in more if ip_network(each).version == 4)]
    six = [*PRIVATE_6, *sorted(each for each in more if ip_network(each).version == 6)]
    blocks = [{"cidr": "0.0.0.0/0", "except": four}, {"cidr": "::/0", "except": six}]
    return {"to": [{"ipBlock": block} for block in blocks]}


def is_of_now(rules: Sequence[Object], closed: Sequence[str]) -> bool:
    """Whether these keep agents from what is closed now; those that lead to no internet do."""
    wanted = internet(closed)
    return all(rule == wanted for rule in rules if _leads_everywhere(rule))


def allowed(text: str) -> Object:
    """CIDR:PORT, as config.yaml has it."""
    cidr, _, port = text.rpartition(":")
    protocols = [{"port": int(port), "protocol": protocol} for protocol in ("TCP", "UDP")]
    return {"to": [{"ipBlock": {"cidr": str(ip_network(cidr))}}], "ports": protocols}


def _leads_everywhere(rule: Object) -> bool:
    """What was allowed leads to one port."""
    return "ports" not in rule and any("ipBlock" in peer for peer in rule.get("to") or ())


def _within(one: str, other: Any) -> bool:
    network = ip_network(one)
    return network.version == other.version and network.subnet_of(other)
