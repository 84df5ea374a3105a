"""Whether a cluster's network enforces NetworkPolicies, tried: some networks only store them, and no API tells.

One policy on two pods: one listens on three ports, of which the other is to reach one, for control. What keeps it from
one of the others is the rule for who comes in, and from the last the rule for who goes out.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from vibespace.engine import bodies, manifests
from vibespace.engine.cluster import Cluster
from vibespace.engine.errands import INIT, Errands
from vibespace.engine.kubeapi import Api
from vibespace.engine.paths import Paths
from vibespace.errors import Aborted

ALLOWED, NOT_IN, NOT_OUT = 8001, 8002, 8003
SETTLING = 3.0
"""Seconds within which rules for a pod that has just started have to hold."""
SECONDS = 120.0
"""For each of the pods: its node may have to get the image first."""
CONTROL_SECONDS = 30.0
"""Until the control is reached: who listens has only just begun."""

_LISTEN = f"""exec /usr/bin/python3 -I -c '
import socket, time
family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
both = family == socket.AF_INET6
ports = ({NOT_IN}, {NOT_OUT}, {ALLOWED})
servers = [socket.create_server(("", port), family=family, dualstack_ipv6=both) for port in ports]
time.sleep({SECONDS + CONTROL_SECONDS})
'"""

_KNOCK = f"""exec /usr/bin/python3 -I -c '
import json, socket, sys, time
def reached(port):
    try:
        socket.create_connection((sys.argv[1], port), 1).close()
        return True
    except OSError:
        return False
until = time.monotonic() + {CONTROL_SECONDS}
while not reached({ALLOWED}) and time.monotonic() < until:
    time.sleep(0.1)
until = time.monotonic() + {SETTLING}
while any(map(reached, ({NOT_IN}, {NOT_OUT}))) and time.monotonic() < until:
    time.sleep(0.2)
print(json.dumps([port for port in ({NOT_IN}, {NOT_OUT}, {ALLOWED}) if reached(port)]))
' ADDRESS"""
"""The control is the last that is tried: who does not reach it was kept from all, by whatever."""


async def tried(api: Api, errands: Errands, log_id: str, cluster: Cluster, image: str) -> bool:
    """Whether it does, tried in pods of `image`, in seconds. Raises what Errands.run does where it cannot be tried."""
    path = Paths(cluster.namespace).networks
    wanted = policy(f"vs-trial-{secrets.token_hex(6)}", log_id, errands.labels(INIT))
    await errands.clear(INIT)
    for left in (await api.list(path, labelSelector=f"{bodies.LOG}={log_id},{manifests.ERRAND}={INIT}"))["items"]:
        await api.delete(f"{path}/{left['metadata']['name']}")  # of who was killed
    try:
        await api.create(path, wanted)
        async with errands.serving(INIT, _LISTEN, image, seconds=SECONDS) as address:
            told = await errands.run(INIT, _KNOCK.replace("ADDRESS", address), image, seconds=SECONDS)
    finally:
        await api.delete(f"{path}/{wanted['metadata']['name']}")
    return enforced(json.loads(told))


def enforced(reached: Collection[int]) -> bool:
    """What it means that these were. Raises Aborted NOTHING_PROVED where not even the control was."""
    if ALLOWED not in reached:
        raise Aborted("NOTHING_PROVED", "One pod did not reach another where nothing keeps it from that.")
    return not {NOT_IN, NOT_OUT} & {*reached}


def policy(name: str, log_id: str, pods: Mapping[str, str]) -> dict[str, Any]:
    """Of the pods with those labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": {**manifests.labels(log_id, INIT), **pods}},
        "spec": {
            "podSelector": {"matchLabels": dict(pods)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": _ports(ALLOWED, NOT_OUT)}],
            "egress": [{"ports": _ports(ALLOWED, NOT_IN)}],
        },
    }


def _ports(*numbers: int) -> list[dict[str, Any]]:
    return [{"port": number, "protocol": "TCP"} for number in numbers]
