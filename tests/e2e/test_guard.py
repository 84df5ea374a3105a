"""What agents of an open network reach, by real connections: to every address of this machine, and to a neighbour."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.installation import Installation, installation

pytestmark = pytest.mark.containers

PRIVATE = ("10.213.7.2", "192.168.213.2", "100.64.213.2", "172.16.213.2", "169.254.169.254")
PUBLIC = "198.51.100.2"
"""An address for examples: it stands for the internet."""

SERVE = """
import socket, sys
servers = [socket.create_server(("", port), backlog=100) for port in (8000, 8001)]
print("ready", flush=True)
sys.stdin.read()
"""

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


def ip(*words: str) -> None:
    """Tell the kernel."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def neighbour() -> Iterator[None]:
    """A machine that this one leads to, with all those addresses, and servers on ports 8000 and 8001."""
    name, ours = f"vsguard{os.getpid()}", f"vg{os.getpid()}"
    ip("netns", "add", name)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", ours, "up")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("addr", "add", "203.0.113.1/32", "dev", ours)
        for address in (*PRIVATE, PUBLIC):
            ip("-n", name, "addr", "add", f"{address}/32", "dev", "eth0")
            ip("route", "add", f"{address}/32", "dev", ours, "src", "203.0.113.1")
        ip("-n", name, "route", "add", "203.0.113.1/32", "dev", "eth0")
        program = ["ip", "netns", "exec", name, sys.executable, "-c", SERVE]
        with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serving:
            assert serving.stdout
            assert serving.stdout.readline() == "ready\n"
            yield
            serving.communicate("")
    finally:
        ip("netns", "delete", name)  # its end of the cable takes ours away


def addresses() -> list[list[str]]:
    """All that this machine has now, for each interface; link-local ones as they are told from inside."""
    told = json.loads(subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True).stdout)
    found = [[each for each in link["addr_info"] if each["scope"] != "host"] for link in told]
    return [[e["local"] + ("%eth0" if e["local"].startswith("fe80:") else "") for e in each] for each in found]


def bridge_addresses(inside: str) -> list[str]:
    """Those of this machine's end of the network in which the address `inside` is: an IPv4 and a link-local one."""
    [bridge] = [each for each in addresses() if any(a.startswith(inside.rpartition(".")[0] + ".") for a in each)]
    return bridge


@contextmanager
def listening() -> Iterator[int]:
    """A server on all addresses of this machine; its port."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1000) as server:
        yield server.getsockname()[1]


def reached(own: Installation, agent: str, targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of the targets that accept a connection from inside."""
    answers = json.loads(own.ok("exec", agent, "--", "python3", "-c", KNOCK, json.dumps(targets)))
    return [target for target, answer in zip(targets, answers, strict=True) if answer]


def allow(own: Installation, *allowances: str) -> None:
    """Write network.allow into config.yaml."""
    settings = json.loads((own.home / "config.yaml").read_text())
    (own.home / "config.yaml").write_text(json.dumps(settings | {"network": {"allow": list(allowances)}}))


def rules() -> str:
    """What both firewalls have, as text."""
    both = ("iptables", "ip6tables")
    return "".join(subprocess.run([name, "-t", "mangle", "-S"], capture_output=True, text=True).stdout for name in both)


def test_what_agents_reach(engine: str) -> None:
    """The internet, siblings, names, and what was opened; nothing else of this machine nor of private networks.

    A second vibespace, for which all was opened, shows that each of those could be reached, and that other vibespaces
    and the loopback cannot be opened. What was opened goes with its vibespace, or with the installation.
    """
    with installation(engine) as own, neighbour(), listening() as port:
        own.init()
        allow(own, "192.168.213.2/32:8000")
        own.ok("create", "shop", "-t", "codex")
        own.ok("agent", "create", "--vibespace", "shop")
        allow(own, f"0.0.0.0/0:{port}", f"::/0:{port}", "0.0.0.0/0:8000", "0.0.0.0/0:2222")
        own.ok("create", "wide", "-t", "codex")

        here = [(address, port) for interface in addresses() for address in interface]
        assert any(address.startswith("fe80:") for address, _ in here)
        there = [(address, 8000) for address in PRIVATE]
        asked = [*here, *there, ("192.168.213.2", 8001), (PUBLIC, 8000), (PUBLIC, 8001), ("codex-2", 2222)]
        opened = [("192.168.213.2", 8000), (PUBLIC, 8000), (PUBLIC, 8001), ("codex-2", 2222)]
        assert sorted(reached(own, "codex-1@shop", asked)) == sorted(opened)
        assert own.inside("codex-1@shop", "getent hosts codex-2 | wc -l") == "1"

        own_address = own.inside("codex-1@wide", "hostname -I").split()[0]
        could = [(each, port) for each in bridge_addresses(own_address)] + there
        assert len(could) == 2 + len(PRIVATE)
        assert reached(own, "codex-1@wide", could) == could
        sshd = (own.inside("codex-1@shop", "hostname -I").split()[0], 2222)
        assert reached(own, "codex-1@wide", [sshd, ("127.0.0.1", port), ("::1", port)]) == []

        found = own.data("info", "shop")
        assert found["guard"]["held"] is True
        assert found["vibespace"]["spec"]["allow"] == ["192.168.213.2/32:8000"]
        [created] = own.events("--vibespace", "shop", "--type", "vibespace.created")
        assert "192.168.213.2/32:8000" in json.dumps(created)
        assert "Agents reach neither what listens on this machine nor private networks." in own.ok("doctor", "--plain")

        assert f"{own.log_id} 0.0.0.0/0:8000" in rules()
        own.ok("delete", "wide", "--force")
        own.ok("stop", "shop")
        own.ok("start", "shop")
        assert f"{own.log_id} 0.0.0.0/0:8000" not in rules()
        assert f"{own.log_id} 192.168.213.2/32:8000" in rules()
        own.ok("uninstall", "--force")
        assert own.log_id not in rules()


def test_the_engine_and_the_state_directory_are_not_inside(vs: Installation, demo: str) -> None:
    """Neither is there by its path, and no socket of an engine is among the mounts."""
    paths = f"{vs.engine} {vs.home} /run/podman/podman.sock /var/run/docker.sock"
    agent = f"claude-1@{demo}"
    assert vs.inside(agent, f"for f in {paths}; do test -e $f && echo $f; done; true") == ""
    assert vs.inside(agent, "grep '[.]sock' /proc/self/mountinfo || true") == ""
    assert vs.inside(agent, "find / -xdev -type s 2>/dev/null || true") == ""
