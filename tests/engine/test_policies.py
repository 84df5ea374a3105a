"""Who reaches whom, as an independent reader of NetworkPolicies says: the test cluster's network heeds none."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.build import build_policies
from tests.engine.test_manifests import LOG, PLAIN, TRIED
from vibespace.engine import enforcement, manifests
from vibespace.engine.base import AgentSpec
from vibespace.engine.cluster import Cluster

pytestmark = pytest.mark.kubernetes

CLUSTER = Cluster("https://198.51.100.7:6443", "vibespace", closed=("198.51.100.7/32", "2001:db8::7/128"))
UID = "00000000-0000-4000-8000-0000000000"
OTHER = replace(PLAIN, agent_uid=f"{UID}1a", vibespace_uid=f"{UID}1b", data_uid=f"{UID}1c", vibespace="other")
SIBLING = replace(PLAIN, agent_uid=f"{UID}2a", agent="codex-1")
ALLOWED = replace(PLAIN, allow=("192.168.1.10/32:5432",))
CLOSED = replace(PLAIN, closed=True)


def pod(spec: AgentSpec, ip: str = "10.1.0.1") -> dict[str, Any]:
    """As the peer of a connection."""
    labels = manifests.deployment(LOG, spec, CLUSTER)["spec"]["template"]["metadata"]["labels"]
    return {"ip": ip, "namespace": CLUSTER.namespace, "labels": labels}


def outside(ip: str) -> dict[str, Any]:
    return {"ip": ip}


AGENT, STRANGER = pod(PLAIN), pod(OTHER, "10.1.0.2")
NEIGHBOUR = {"ip": "10.1.0.3", "namespace": "default", "labels": {"app": "web"}}
DNS = {"ip": "10.1.0.4", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}

TABLE: list[tuple[str, AgentSpec, dict[str, Any], dict[str, Any], int, str, bool]] = [
    ("a sibling's sshd", PLAIN, AGENT, pod(SIBLING, "10.1.0.5"), 2222, "TCP", True),
    ("a sibling's server", PLAIN, AGENT, pod(SIBLING, "10.1.0.5"), 3000, "TCP", True),
    ("another vibespace", PLAIN, AGENT, STRANGER, 2222, "TCP", False),
    ("from another vibespace", PLAIN, STRANGER, AGENT, 2222, "TCP", False),
    ("from another namespace", PLAIN, NEIGHBOUR, AGENT, 2222, "TCP", False),
    ("from outside", PLAIN, outside("203.0.113.9"), AGENT, 2222, "TCP", False),
    ("another namespace", PLAIN, AGENT, NEIGHBOUR, 80, "TCP", False),
    ("names", PLAIN, AGENT, DNS, 53, "UDP", True),
    ("names, by TCP", PLAIN, AGENT, DNS, 53, "TCP", True),
    ("names, of a node's own server", PLAIN, AGENT, outside("169.254.20.10"), 53, "UDP", True),
    ("what else such a server has", PLAIN, AGENT, outside("169.254.20.10"), 8080, "TCP", False),
    ("the name servers' other ports", PLAIN, AGENT, DNS, 8080, "TCP", False),
    ("the internet", PLAIN, AGENT, outside("203.0.113.9"), 443, "TCP", True),
    ("the internet, 6", PLAIN, AGENT, outside("2606:4700::1111"), 443, "TCP", True),
    ("metadata", PLAIN, AGENT, outside("169.254.169.254"), 80, "TCP", False),
    ("metadata at Azure", PLAIN, AGENT, outside("168.63.129.16"), 80, "TCP", False),
    ("metadata, by NAT64", PLAIN, AGENT, outside("64:ff9b::a9fe:a9fe"), 80, "TCP", False),
    ("10/8, by NAT64", PLAIN, AGENT, outside("64:ff9b::a09:909"), 22, "TCP", False),
    ("the internet, by NAT64", PLAIN, AGENT, outside("64:ff9b::cb00:7109"), 443, "TCP", True),
    ("10/8", PLAIN, AGENT, outside("10.9.9.9"), 22, "TCP", False),
    ("172.16/12", PLAIN, AGENT, outside("172.17.0.1"), 22, "TCP", False),
    ("192.168/16", PLAIN, AGENT, outside("192.168.1.10"), 5432, "TCP", False),
    ("100.64/10", PLAIN, AGENT, outside("100.100.100.200"), 80, "TCP", False),
    ("unique local, 6", PLAIN, AGENT, outside("fd00::1"), 22, "TCP", False),
    ("link local, 6", PLAIN, AGENT, outside("fe80::1"), 22, "TCP", False),
    ("the API server", PLAIN, AGENT, outside("198.51.100.7"), 6443, "TCP", False),
    ("a node, 6", PLAIN, AGENT, outside("2001:db8::7"), 10250, "TCP", False),
    ("what was allowed", ALLOWED, AGENT, outside("192.168.1.10"), 5432, "TCP", True),
    ("its other ports", ALLOWED, AGENT, outside("192.168.1.10"), 22, "TCP", False),
    ("its neighbours", ALLOWED, AGENT, outside("192.168.1.11"), 5432, "TCP", False),
    ("closed: a sibling", CLOSED, AGENT, pod(SIBLING, "10.1.0.5"), 2222, "TCP", True),
    ("closed: the internet", CLOSED, AGENT, outside("203.0.113.9"), 443, "TCP", False),
    ("closed: names", CLOSED, AGENT, DNS, 53, "UDP", False),
    ("closed: another vibespace", CLOSED, AGENT, STRANGER, 2222, "TCP", False),
]


def answers(policies: list[dict[str, Any]], *questions: dict[str, Any]) -> list[bool]:
    """Whether each of them is let through."""
    for policy in policies:
        policy["metadata"]["namespace"] = CLUSTER.namespace
    asked = json.dumps({"policies": policies, "questions": questions})
    done = subprocess.run([build_policies()], input=asked, capture_output=True, text=True, check=True)
    found: list[bool] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def told() -> dict[str, bool]:
    """By the word of each row."""
    found = {}
    for word, spec, source, destination, port, protocol, _ in TABLE:
        policies = [manifests.network(LOG, each, CLUSTER) for each in (spec, OTHER)]
        question = {"source": source, "destination": destination, "port": port, "protocol": protocol}
        [found[word]] = answers(policies, question)
    return found


@pytest.mark.parametrize(("word", "reached"), [(row[0], row[-1]) for row in TABLE])
def test_who_reaches_whom(told: dict[str, bool], word: str, reached: bool) -> None:
    """Siblings, names and the internet; nothing private, nobody of another vibespace, and what was allowed."""
    assert told[word] is reached


def test_what_tells_whether_policies_are_enforced() -> None:
    """Between the two pods of the trial only the control passes; one direction that is not enforced lets another."""
    one, other = ({"ip": ip, "namespace": CLUSTER.namespace, "labels": TRIED} for ip in ("10.1.0.6", "10.1.0.7"))
    ports = (enforcement.ALLOWED, enforcement.NOT_IN, enforcement.NOT_OUT)
    asked = [{"source": one, "destination": other, "port": port, "protocol": "TCP"} for port in ports]
    policy = enforcement.policy("trial", LOG, TRIED)
    assert answers([policy], *asked) == [True, False, False]
    policy["spec"]["policyTypes"] = ["Egress"]
    assert answers([policy], *asked) == [True, True, False]
    policy["spec"]["policyTypes"] = ["Ingress"]
    assert answers([policy], *asked) == [True, False, True]
