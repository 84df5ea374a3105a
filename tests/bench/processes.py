"""What the kernel says of a process: how much it holds, and how long it has worked."""

from __future__ import annotations

import os
from pathlib import Path


def resident(pid: int) -> float:
    """Megabytes, what it shares with others among them."""
    return int(_status(pid, "VmRSS").removesuffix("kB")) * 1024 / 1e6


def private(pid: int) -> float:
    """Megabytes that it shares with nobody."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    return sum(int(line[1]) for line in lines if line[0].startswith("Private_")) * 1024 / 1e6


def threads(pid: int) -> int:
    return int(_status(pid, "Threads"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> int:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return sum(len(found.read_text().split()) for found in lists)


def seconds(pid: int) -> float:
    """Of a processor, for itself and for what the kernel did for it."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, field: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise LookupError(f"{field} of {pid}")
