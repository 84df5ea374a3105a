"""The guard's rules, in a network of the test's own: made once, each owner's apart, and taken away whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vibespace.errors import Aborted
from vibespace.setup import guard, iptables

ROOT = Path(__file__).parents[2]
START = """
import subprocess
from vibespace.setup import guard, iptables

guard._RESOLVERS = ()
BRIDGE, OTHER = "vs0123456789ab", "vsfedcba987654"

def rules(family="iptables"):
    return [line for line in iptables.rules(family) if not line.startswith(("#", ":INPUT", ":FORWARD", "COMMIT"))]

def opened():
    return sum(len([line for line in rules(family) if "-j RETURN" in line and "--comment" in line])
               for family in iptables.families())
"""


def alone(script: str) -> None:
    """Run it in an empty network, with no rules of anybody."""
    program = ["unshare", "--net", sys.executable, "-c", START + script]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_is_made_once() -> None:
    """Held twice it is as held once; when another has flushed the tables it is missed, and made again."""
    alone("""
assert "have gone" in guard.missing()
guard.hold("a", ())
assert guard.missing() == ""
first = rules(), rules("ip6tables")
guard.hold("a", ())
assert (rules(), rules("ip6tables")) == first
subprocess.run(["iptables", "-t", "mangle", "-F", "INPUT"], check=True)
assert "have gone" in guard.missing()
guard.hold("a", ())
assert guard.missing() == ""
assert sorted(rules()) == sorted(first[0])
""")


def test_owners_are_apart() -> None:
    """What one has opened changes with what it says, and nobody else's does."""
    alone("""
guard.hold("a", {(BRIDGE, "10.0.0.0/8:80"), (BRIDGE, "fd00::/8:80")})
guard.hold("b", {(OTHER, "10.0.0.0/8:80")})
assert opened() == 12
guard.hold("a", {(BRIDGE, "10.0.0.0/8:80")})
assert opened() == 8
guard.hold("a", {(BRIDGE, "10.0.0.0/8:81")})
assert opened() == 8
assert not any("a 10.0.0.0/8:80" in line for line in rules())
guard.release("a")
guard.release("a")
assert opened() == 4
""")


def test_this_machines_name_servers_answer(tmp_path: Path) -> None:
    """On their port, as they are when it is held, and not the loopback's; once for all installations there are."""
    path = tmp_path / "resolv.conf"
    alone(f"""
from pathlib import Path
path = Path({str(path)!r})
guard._RESOLVERS = (path,)
path.write_text("search x\\nnameserver 10.1.1.1\\nnameserver fd00::1\\nnameserver 127.0.0.53\\nnameserver x\\n")
guard.hold("a", ())
assert opened() == 8
guard.hold("b", ())
guard.release("a")
assert opened() == 8
assert any("-d 10.1.1.1/32 -i vs+ -p udp -m udp --dport 53" in line for line in rules())
path.write_text("nameserver 10.1.1.2\\n")
guard.hold("a", ())
assert opened() == 4
assert not any("10.1.1.1" in line for line in rules())
""")


def test_all_of_it_goes() -> None:
    """No rule and no chain is left, and what others have made is."""
    alone("""
subprocess.run(["iptables", "-t", "mangle", "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"], check=True)
before = rules(), rules("ip6tables")
guard.hold("a", {(BRIDGE, "10.0.0.0/8:80")})
guard.remove()
guard.remove()
assert (rules(), rules("ip6tables")) == before
""")


@pytest.mark.parametrize("text", ["10.0.0.0/8:80\n-A INPUT -j ACCEPT", "x:80", "", "10.0.0.0/8:0", "10.0.0.1/8:80"])
def test_what_is_no_allowance_gets_into_no_rule(text: str) -> None:
    """However it has come into the log."""
    with pytest.raises(ValueError, match=r"CIDR:PORT|IPv4|host bits"):
        guard.hold("a", {("vs0123456789ab", text)})


def test_it_cannot_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """By who is not root nothing is tried; without iptables it is refused in a sentence; both say why."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    guard.hold("a", ())
    assert guard.missing() == "only root can guard this machine, and the daemon does not run as root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for module in (guard, iptables):
        monkeypatch.setattr(module, "program", lambda _: "")
    monkeypatch.setenv("PATH", "")
    assert guard.missing() == "there is no iptables on this machine"
    with pytest.raises(Aborted, match="iptables-save cannot be run: No such file or directory"):
        guard.hold("a", ())
    guard.release("a")
    guard.remove()


def test_a_refusal_is_told_in_the_firewalls_words() -> None:
    """And nothing of the change is made."""
    alone("""
from vibespace.errors import Aborted
try:
    iptables.change("iptables", "-A INPUT -j ACCEPT", "-A INPUT -j NOWHERE")
except Aborted as e:
    assert (e.reason, "NOWHERE" in e.message, "\\n" in e.message) == ("FIREWALL_REFUSED", True, False), e.message
else:
    raise AssertionError
assert "-A INPUT -j ACCEPT" not in rules()
""")
