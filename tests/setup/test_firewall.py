"""The rule between vibespaces, in a network and a process table of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import subprocess, sys
from vibespace.setup import firewall

def rules():
    return subprocess.run(["iptables", "-t", "mangle", "-S", "FORWARD"], capture_output=True, text=True).stdout

firewall.keep_networks_apart()
firewall.keep_networks_apart()
assert rules().count("--comment vibespace") == 1, rules()
user = None
if sys.argv[1] == "bridge":
    subprocess.run(["ip", "link", "add", "vs0123456789ab", "type", "bridge"], check=True)
elif sys.argv[1] == "daemon":
    program = [sys.executable, "-c", "print(flush=True); input()", "vibespace.daemon"]
    user = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
firewall.remove_unless_used()
print(rules().count("--comment vibespace"))
if user:
    user.communicate(b"\\n")
"""


@pytest.mark.parametrize(("user", "left"), [("nobody", 0), ("bridge", 1), ("daemon", 1)])
def test_it_goes_with_its_last_user(user: str, left: int) -> None:
    """The rule is made once; it stays for as long as a network of ours or another daemon needs it."""
    alone = ["unshare", "--net", "--pid", "--fork", "--mount-proc"]
    mounts = "mount -t sysfs sysfs /sys && exec "  # interfaces are shown per network
    done = subprocess.run(
        [*alone, "sh", "-c", mounts + '"$@"', "sh", sys.executable, "-c", SCRIPT, user],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(left)), done.stderr
