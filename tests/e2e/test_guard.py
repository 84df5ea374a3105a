"""What agents of an open network reach, by real connections: to every address of this machine, and to a neighbour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.installation import Installation, installation
from tests.engines import Served
from tests.places import Place, apart

pytestmark = pytest.mark.containers

PRIVATE = ("10.213.7.2", "192.168.213.2", "100.64.213.2", "172.16.213.2", "169.254.169.254")
PUBLIC = "198.51.100.2"
"""An address for examples: it stands for the internet."""

SERVE = """
import socket, sys
servers = [socket.create_server(("", port), backlog=100) for port in (8000, 8001)]
print(*(server.getsockname()[1] for server in servers), flush=True)
sys.stdin.read()
"""

LISTEN = """
import socket, sys
server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1000)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
"""On all addresses."""

KNOCK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def knock(target):
    host, port = target
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False
targets = json.loads(sys.argv[1])
print(json.dumps(list(ThreadPoolExecutor(32).map(knock, targets))))
"""


@contextmanager
def serving(place: Place, program: str) -> Iterator[str]:
    """`program` runs there until the end; the line with which it says that it is ready."""
    command = place.command(sys.executable, "-c", program)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        yield running.stdout.readline().strip()
        running.communicate("")


@contextmanager
def neighbour(place: Place) -> Iterator[None]:
    """A machine that this one leads to, with all those addresses, and servers on ports 8000 and 8001."""
    ours = f"vg{os.getpid()}"
    with apart() as there:
        wire = ("type", "veth", "peer", "name", "eth0", "netns", str(there.process))
        place.run("ip", "link", "add", ours, *wire)
        place.run("ip", "link", "set", ours, "up")
        there.run("ip", "link", "set", "eth0", "up")
        place.run("ip", "addr", "add", "203.0.113.1/32", "dev", ours)
        for address in (*PRIVATE, PUBLIC):
            there.run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
            place.run("ip", "route", "add", f"{address}/32", "dev", ours, "src", "203.0.113.1")
        there.run("ip", "route", "add", "203.0.113.1/32", "dev", "eth0")
        with serving(there, SERVE) as ready:
            assert ready == "8000 8001"
            yield


def addresses(place: Place) -> list[list[str]]:
    """All that this machine has now, for each interface; link-local ones as they are told from inside."""
    told = json.loads(place.run("ip", "-j", "addr"))
    found = [[each for each in link["addr_info"] if each["scope"] != "host"] for link in told]
    return [[e["local"] + ("%eth0" if e["local"].startswith("fe80:") else "") for e in each] for each in found]


def bridge_addresses(place: Place, inside: str) -> list[str]:
    """Those of this machine's end of the network in which the address `inside` is: an IPv4 and a link-local one."""
    [bridge] = [each for each in addresses(place) if any(a.startswith(inside.rpartition(".")[0] + ".") for a in each)]
    return bridge


def reached(own: Installation, agent: str, targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the targets that accept a connection from inside."""
    answers = json.loads(own.ok("exec", agent, "--", "python3", "-c", KNOCK, json.dumps(targets)))
    return [target for target, answer in zip(targets, answers, strict=True) if answer]


def allow(own: Installation, *allowances: str) -> None:
    """Write network.allow into config.yaml."""
    settings = json.loads((own.home / "config.yaml").read_text())
    (own.home / "config.yaml").write_text(json.dumps(settings | {"network": {"allow": list(allowances)}}))


def rules(place: Place) -> str:
    """What both firewalls have, as text."""
    return "".join(place.run(name, "-t", "mangle", "-S") for name in ("iptables", "ip6tables"))


@pytest.mark.here("config.yaml is written between two commands, and uninstall is beside the daemon")
@pytest.mark.core("podman", "docker")
@pytest.mark.unclustered(
    "a cluster's network does what this machine's firewall does here: tests/engine/test_policies.py"
)
def test_what_agents_reach(served: Served) -> None:
    """The internet, siblings, names, and what was opened; nothing else of this machine nor of private networks.

    A second vibespace, for which all was opened, shows that each of those could be reached, and that other vibespaces
    and the loopback cannot be opened. What was opened goes with its vibespace, or with the installation.
    """
    place = served.place
    with installation(served.socket, place=place) as own, neighbour(place), serving(place, LISTEN) as listening:
        port = int(listening)
        own.init()
        allow(own, "192.168.213.2/32:8000")
        own.ok("create", "shop", "-t", "codex")
        own.ok("agent", "create", "--vibespace", "shop")
        allow(own, f"0.0.0.0/0:{port}", f"::/0:{port}", "0.0.0.0/0:8000", "0.0.0.0/0:2222")
        own.ok("create", "wide", "-t", "codex")

        here = [(address, port) for interface in addresses(place) for address in interface]
        assert any(address.startswith("fe80:") for address, _ in here)
        there = [(address, 8000) for address in PRIVATE]
        asked = [*here, *there, ("192.168.213.2", 8001), (PUBLIC, 8000), (PUBLIC, 8001), ("codex-2", 2222)]
        opened = [("192.168.213.2", 8000), (PUBLIC, 8000), (PUBLIC, 8001), ("codex-2", 2222)]
        assert sorted(reached(own, "codex-1@shop", asked)) == sorted(opened)
        assert own.inside("codex-1@shop", "getent hosts codex-2 | wc -l") == "1"

        own_address = own.inside("codex-1@wide", "hostname -I").split()[0]
        # Docker's networks have no IPv6, not even between the two ends of a cable.
        has_v6 = own.inside("codex-1@wide", "grep -c eth0 /proc/net/if_inet6 || true") != "0"
        bridge = [each for each in bridge_addresses(place, own_address) if has_v6 or ":" not in each]
        assert len(bridge) == 1 + has_v6
        could = [(each, port) for each in bridge] + there
        assert reached(own, "codex-1@wide", could) == could
        sshd = (own.inside("codex-1@shop", "hostname -I").split()[0], 2222)
        assert reached(own, "codex-1@wide", [sshd, ("127.0.0.1", port), ("::1", port)]) == []

        found = own.data("info", "shop")
        assert found["guard"]["held"] is True
        assert found["vibespace"]["spec"]["allow"] == ["192.168.213.2/32:8000"]
        [created] = own.events("--vibespace", "shop", "--type", "vibespace.created")
        assert "192.168.213.2/32:8000" in json.dumps(created)
        assert "Agents reach neither what listens on this machine nor private networks." in own.ok("doctor", "--plain")

        assert f"{own.log_id} 0.0.0.0/0:8000" in rules(place)
        own.ok("delete", "wide", "--force")
        own.ok("stop", "shop")
        own.ok("start", "shop")
        assert f"{own.log_id} 0.0.0.0/0:8000" not in rules(place)
        assert f"{own.log_id} 192.168.213.2/32:8000" in rules(place)
        own.ok("uninstall", "--force")
        assert own.log_id not in rules(place)


@pytest.mark.clustered
def test_the_engine_and_the_state_directory_are_not_inside(vs: Installation, demo: str) -> None:
    """Neither is there by its path, and no socket of an engine is among the mounts."""
    paths = f"{vs.engine} {vs.home} /run/podman/podman.sock /var/run/docker.sock"
    agent = f"claude-1@{demo}"
    assert vs.inside(agent, f"for f in {paths}; do test -e $f && echo $f; done; true") == ""
    assert vs.inside(agent, "grep '[.]sock' /proc/self/mountinfo || true") == ""
    assert vs.inside(agent, "find / -xdev -type s 2>/dev/null || true") == ""
