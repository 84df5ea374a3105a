"""What an ordinary user needs before he may run containers without root; only root can give it."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

TUN = Path("/dev/net/tun")
IDS = (Path("/etc/subuid"), Path("/etc/subgid"))
NAMESPACES = Path("/proc/sys/user/max_user_namespaces")

FEWEST_IDS = 1001
"""Container ids up to the agent's own must have one here. The image itself uses more: 65536 are usual."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that is missing."""

    message: str
    hint: str
    """What root types to mend it."""


def obstacles() -> list[Obstacle]:
    """All that keeps this user from running containers; nothing for root."""
    if os.geteuid() == 0:
        return []
    name = _name()
    found = []
    if lacking := [path.name for path in IDS if not _has_ids(path, name)]:
        text = f"User {name} has no ids to give to containers ({' and '.join(lacking)})."
        give = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535"
        found.append(Obstacle(text, f"As root: {give} {name}"))
    if not os.access(TUN, os.R_OK | os.W_OK):
        found.append(Obstacle(f"User {name} may not open {TUN}, so containers get no network.", _tun_hint()))
    if NAMESPACES.exists() and NAMESPACES.read_text().strip() == "0":
        found.append(Obstacle("The kernel gives no user namespaces.", "As root: sysctl user.max_user_namespaces=28633"))
    return found


def _has_ids(path: Path, name: str) -> bool:
    """Whether one of the file's ranges, `NAME:FIRST:COUNT`, is the user's and large enough."""
    try:
        ranges = [line.strip().split(":") for line in path.read_text().splitlines()]
    except OSError:
        return False
    ours = (fields for fields in ranges if len(fields) == 3 and fields[0] in (name, str(os.geteuid())))
    return any(fields[2].isdigit() and int(fields[2]) >= FEWEST_IDS for fields in ours)


def _tun_hint() -> str:
    return f"As root: chmod 666 {TUN}" if TUN.exists() else "As root: modprobe tun"


def _name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
