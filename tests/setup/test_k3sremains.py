"""A k3s is ended with all that it runs, and what it leaves is taken away, but nothing that is not its own.

Each test's is a script in k3s's place, in a view of the machine that is gone with it: processes, mounts, network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.asroot import Commands
from vibespace.daemon import outside
from vibespace.setup import k3s, k3sremains
from vibespace.setup.k3s import K3s
from vibespace.state import State

ROOT = Path(__file__).parents[2]

APART = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation=private", "sh", "-euc"]

VIEW = """
for place in /mnt /run /var/lib /var/log; do mount -t tmpfs tmpfs "$place"; done
mkdir /mnt/etc /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work /etc
ip link set lo up
exec "$@"
"""

SERVER = """\
#!/bin/sh
data=${2#--data-dir=}
mkdir -p "$data/data/0/bin"
cp "$(command -v sleep)" "$data/data/0/bin/containerd-shim"
cp "$(command -v sh)" "$data/data/0/bin/k3s"
trap 'echo ended > "$data/../said"; exit' TERM
"$data/data/0/bin/containerd-shim" 1000 &
setsid "$data/data/0/bin/k3s" -c 'sleep 1001 & echo > "$0/started"; wait' "$data" &
wait
"""
"""What outlives it: a program of its data, and one that such a one has started."""

TRIED = """
import json, os, socket, subprocess, sys, time
from pathlib import Path
from vibespace.setup import k3s, k3sremains
from vibespace.state import State

def root(command, why):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

def running():
    lines = (path.read_bytes().decode().split(chr(0)) for path in Path("/proc").glob("[0-9]*/cmdline"))
    return sorted(words[1] for words in lines if os.path.basename(words[0]) in ("sleep", "containerd-shim"))

state = State(Path(sys.argv[1]))
"""


def tried(state: State, script: str) -> Any:
    """What `script` prints as JSON in a view of its own."""
    command = [*APART, VIEW, "sh", sys.executable, "-c", TRIED + script, str(state.home)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "a home")
    made.bin.mkdir(parents=True)
    K3s(made).program.write_text(SERVER)
    K3s(made).program.chmod(0o755)
    return made


START = """
subprocess.Popen(["sleep", "1003"])
k3s.start(state, root)
while not ((state.k3s / "started").exists() and (state.home / "k3s.lock").read_text()):
    time.sleep(0.01)
before = running()
"""


def test_all_that_it_runs(state: State) -> None:
    """k3s ends by itself; what outlives it is ended; a process of somebody else goes on, and the data stays."""
    end = "k3sremains.stop(state, root)\nprint(json.dumps([before, running(), k3sremains.there(state)]))"
    before, after, there = tried(state, START + end)
    assert before == ["1000", "1001", "1003"]
    assert after == ["1003"]
    assert there
    assert (state.home / "said").read_text() == "ended\n"


def test_a_pid_that_is_anothers_by_now(state: State) -> None:
    """Without the lock a number means nothing."""
    K3s(state).lock.touch()
    script = """
stranger = subprocess.Popen(["sleep", "1003"])
(state.home / "k3s.lock").write_text(str(stranger.pid))
k3sremains.remove(state, root)
print(json.dumps(running()))
"""
    assert tried(state, script) == ["1003"]


FULL = """
made = [
    "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/node/password", "/run/k3s/containerd/socket", "/run/flannel/subnet.env",
    "/var/lib/kubelet/pods/a/b", "/var/lib/cni/flannel/a", "/var/lib/cni/networks/cbr0/10.42.0.2",
    "/var/lib/cni/results/cbr0-a-eth0", "/var/log/pods/a", "/var/log/containers/a", f"{state.k3s}/agent/a",
    "/var/lib/cni/networks/podman/10.88.0.2", "/var/lib/cni/results/podman-a-eth0",
    "/run/netns/cni-0a", "/run/netns/cni-0b",
]
for path in map(Path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
Path("/var/lib/cni/results/cbr0-a-eth0").write_text('{"netns":"/var/run/netns/cni-0a"}')
Path("/var/lib/cni/results/podman-a-eth0").write_text('{"netns":"/var/run/netns/cni-0b"}')
for place in ("/run/netns/cni-0a", "/run/netns/cni-0b"):
    root(["mount", "--bind", "/proc/self/ns/net", place], "")
root(["mount", "-t", "tmpfs", "tmpfs", "/var/lib/kubelet/pods/a"], "")
for name in ("cni0", "podman0"):
    root(["ip", "link", "add", name, "type", "bridge"], "")

def left():
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "files": sorted(path for path in made if os.path.lexists(path)),
        "mounts": sorted(place for place in mounts if "cni-" in place or "kubelet" in place),
        "links": [name for _, name in socket.if_nameindex()],
    }
"""

OTHERS = ["/run/netns/cni-0b", "/var/lib/cni/networks/podman/10.88.0.2", "/var/lib/cni/results/podman-a-eth0"]


def test_what_it_leaves(state: State) -> None:
    """Its files, mounts and interfaces go, and are told before; what other programs have beside them stays."""
    take = """
told = k3sremains.outside(state, keep_data=False)
k3sremains.remove(state, root)
print(json.dumps([told, left(), Path("/etc/rancher").exists(), k3sremains.outside(state, keep_data=False)]))
"""
    told, left, rancher, after = tried(state, FULL + take)
    assert [path for path in k3sremains.SHARED if path not in told] == []
    assert "interfaces cni0" in told
    assert (left["files"], left["mounts"]) == (OTHERS, ["/run/netns/cni-0b"])
    assert "cni0" not in left["links"]
    assert "podman0" in left["links"]
    assert not rancher
    assert after == []


def test_beside_another_kubernetes(state: State) -> None:
    """What both may have stays, and is named with the other; the data goes."""
    take = """
Path("/etc/kubernetes").mkdir()
told, stays = k3sremains.outside(state, keep_data=False), k3sremains.left(state)
before = left()
k3sremains.remove(state, root)
print(json.dumps([told, stays, before, left(), state.k3s.exists()]))
"""
    told, stays, before, left, data = tried(state, FULL + take)
    assert told == []
    assert stays[0] == f"{k3sremains.SHARED[0]}, for there is another Kubernetes, which has /etc/kubernetes"
    assert len(stays) == len(k3sremains.SHARED)
    before["files"].remove(f"{state.k3s}/agent/a")
    assert left == before
    assert not data


RULES = r"""
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-DN-0a - [0:0]
:CNI-DN-0b - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:FLANNEL-POSTRTG - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A POSTROUTING -s 10.1.0.0/16 -m comment --comment "not of KUBE-SERVICES" -j MASQUERADE
-A CNI-DN-0a -p tcp -j DNAT --to-destination 10.42.0.2:80
-A CNI-DN-0b -p tcp -j DNAT --to-destination 10.88.0.2:80
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"cbr0\" id: \"a\"" -j CNI-DN-0a
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"podman\" id: \"b\"" -j CNI-DN-0b
-A FLANNEL-POSTRTG -s 10.42.0.0/16 -j RETURN
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.43.0.1/32 -p tcp -j KUBE-SVC-A
-A KUBE-SVC-A ! -s 10.42.0.0/16 -j KUBE-MARK-MASQ
COMMIT
*filter
:INPUT ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""

OURS = ("KUBE-SERVICES -d", "KUBE-SVC-A", "KUBE-MARK-MASQ", "KUBE-FIREWALL", "FLANNEL-POSTRTG", "CNI-DN-0a", "cbr0")


def test_rules(state: State) -> None:
    """Those of k3s go, with what jumps to them; all others stay word for word, also those of other programs' CNI."""
    state.k3s.mkdir()
    script = f"""
subprocess.run(["iptables-restore"], input={RULES!r}, text=True, check=True)
k3sremains.stop(state, root)
print(json.dumps(root(["iptables-save"], "")))
"""
    saved = tried(state, script)
    wanted = [line for line in RULES.splitlines() if line.startswith("-A") and not any(sign in line for sign in OURS)]
    wanted = [line for line in wanted if not line.endswith("-j KUBE-SERVICES")]
    assert sorted(line for line in saved.splitlines() if line.startswith("-A")) == sorted(wanted)
    assert [line for line in saved.splitlines() if line.startswith((":KUBE", ":FLANNEL", ":CNI-DN-0a"))] == []


def test_by_systemd(state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its unit is forgotten, and only its own: that of another state directory stays."""
    unit = tmp_path / "vibespace-k3s.service"
    monkeypatch.setattr(k3s, "UNIT", unit)
    root = Commands()

    def of_systemd() -> list[Sequence[str]]:
        found = [command for command in root.told if "systemctl" in command or str(unit) in command]
        root.told.clear()
        return found

    unit.write_text(k3s.unit(K3s(State(Path("/elsewhere")))))
    assert not k3sremains.there(state)
    k3sremains.stop(state, root)
    assert of_systemd() == []
    unit.write_text(k3s.unit(K3s(state)))
    assert k3sremains.there(state)
    assert str(unit) in k3sremains.outside(state, keep_data=True)
    k3sremains.stop(state, root)
    assert of_systemd() == [
        ["systemctl", "disable", "--now", "vibespace-k3s.service"],
        ["rm", "-f", str(unit)],
        ["systemctl", "daemon-reload"],
    ]


def test_status_tells_of_all() -> None:
    """What lies outside is listed by `status`, which has a list of its own."""
    told = " ".join(outside.K3S_OUTSIDE)
    assert [path for path in k3sremains.SHARED if not path.startswith("/var/lib/cni/") and path not in told] == []
    assert "/var/lib/cni" in told
