"""What can be reached from where this runs: inside a container, where prober.py sends it in, or here, to compare.

Of the standard library only, and in one file.
"""

import ctypes
import json
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from time import monotonic

SECONDS = 1.5
"""For each connection; all are tried at once."""
AT_ONCE = 128
"""More are never asked for: see daemon/isolation.py."""
_SSHD = 2222
LOOPBACK = 8
"""As many ways to the machine's loopback, which count as well."""
MACHINE = ("host.containers.internal", "host.docker.internal")
"""Names that engines give to the machine inside."""
USER_NAMESPACES = "UserNamespaces"
"""As in net/base.py."""
POWERS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", USER_NAMESPACES)
_CLONE_NEWUSER = 0x10000000


def addresses() -> list[str]:
    """All of this machine's but the loopback; link-local ones as a container calls them."""
    lines = [line.split() for line in _lines("/proc/net/fib_trie")]
    found = {above[-1] for above, line in pairwise(lines) if line[1:] == ["host", "LOCAL"]}
    for digits, *_, name in map(str.split, _lines("/proc/net/if_inet6")):
        if name != "lo":
            address = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
            found.add(f"{address}%eth0" if address.startswith("fe80:") else address)
    return sorted(address for address in found if not address.startswith("127."))


def gateways() -> list[str]:
    """Where all leads that has no other way."""
    found = (line.split() for line in _lines("/proc/net/route"))
    return [socket.inet_ntoa(bytes.fromhex(words[2])[::-1]) for words in found if words[1] == "00000000"]


def reached(targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those that accept a connection."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [target for target, answer in zip(targets, threads.map(_accepts, targets), strict=True) if answer]


def _accepts(target: tuple[str, int]) -> bool:
    until = monotonic() + SECONDS
    try:
        with socket.create_connection((target[0], target[1]), timeout=SECONDS) as accepted:
            if target[1] == _SSHD:
                _leave(accepted, until)
    except OSError:
        return False
    return True


def _leave(sshd: socket.socket, until: float) -> None:
    """As a client that has changed its mind: of who goes without a word, sshd's log complains."""
    with suppress(OSError):
        sshd.sendall(b"SSH-2.0-vibespace\r\n")
        sshd.shutdown(socket.SHUT_WR)
        while (left := until - monotonic()) > 0:
            sshd.settimeout(left)
            if not sshd.recv(4096):
                return


def _opens(path: str) -> bool:
    """Whether there is a file to read, or somebody who listens."""
    try:
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(SECONDS)
            knocking.connect(path)
    except OSError:
        return os.path.isfile(path)  # Path's own raises where the way there is closed
    return True


def _powers() -> dict[str, str]:
    told = (line.partition(":") for line in _lines("/proc/self/status"))
    return {name: value.strip() for name, _, value in told if name in POWERS} | {USER_NAMESPACES: _user_namespace()}


def _user_namespace() -> str:
    """In a child, with which it ends: a process that has threads may make none."""
    try:
        child = os.fork()
    except OSError:
        return "unknown"
    if child == 0:
        code = 1
        try:
            code = 0 if ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0 else 1
        finally:
            os._exit(code)
    return "0" if os.waitpid(child, 0)[1] else "1"


def _machine() -> list[str]:
    """By what a container calls the machine that it is on."""
    known = " ".join(_lines("/etc/hosts")).split()
    return [*gateways(), *(name for name in MACHINE if name in known)]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def main() -> None:
    """Answer what is asked on the standard input."""
    asked = json.load(sys.stdin)
    loopback = [(host, port) for port in asked["loopback"] for host in _machine()][:LOOPBACK]
    told = {
        "reached": reached([*map(tuple, asked["targets"]), *loopback]),
        "loopback": loopback,
        "opened": [path for path in asked["paths"] if _opens(path)],
        "powers": _powers(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
