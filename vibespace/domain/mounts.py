"""What of the engine's machine may be shown inside, and where: the rules that need no look at that machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from vibespace.domain.repositories import HOME, ROOT
from vibespace.errors import InvalidArgument

_OURS = (ROOT, HOME, "/vibespace-logins", "/opt/claude", "/opt/codex", "/usr")
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin")
_TOO = ("/sys", "/tmp", "/var")  # noqa: S108 (refused, not used)
"""Together: where the agent's own files and programs are. Nothing may cover them, or lie in them."""
_MOST = 50


class Mount(NamedTuple):
    """One directory or file, as both sides call it."""

    source: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


def parse(text: str, field: str) -> Mount:
    """HOST:CONTAINER[:ro], both absolute. Raises InvalidArgument MOUNT_INVALID."""
    parts = text.split(":")
    if len(parts) == 3 and parts[2] == "ro":
        parts.pop()
    if len(parts) != 2 or not all(parts):
        raise _invalid(f"The mount {_shown(text)} is not of the form HOST:CONTAINER or HOST:CONTAINER:ro.", field)
    for path in parts:
        if not path.startswith("/") or not path.isprintable() or len(path) > 1000:
            raise _invalid(f"{_shown(path)} is not an absolute path.", field)
    return Mount(parts[0], parts[1], text.endswith(":ro"))


def check(texts: Sequence[str], field: str) -> None:
    """Raises InvalidArgument for a place inside that is taken, by the agent or by another of them."""
    if len(texts) > _MOST:
        raise _invalid(f"More than {_MOST} mounts were given.", field)
    taken: set[str] = set()
    for text in texts:
        target = parse(text, field).target
        path = PurePosixPath(target)
        if "//" in target or str(path) != target or ".." in path.parts:
            raise _invalid(f"{_shown(target)} must be written without '..', '.' and doubled or last slashes.", field)
        for place in (*_OURS, *_SYSTEM, *_TOO):
            if _within(target, place) or _within(place, target):
                raise _invalid(f"{_shown(target)} would cover {place}, which the agent needs.", field)
        if target in taken:
            raise _invalid(f"{_shown(target)} is given twice.", field)
        taken.add(target)


def _within(path: str, place: str) -> bool:
    return PurePosixPath(path).is_relative_to(place)


def _invalid(sentence: str, field: str) -> InvalidArgument:
    return InvalidArgument(
        "MOUNT_INVALID", sentence, field=field, hint="Give absolute paths, and a place of its own, such as /mnt/NAME."
    )


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")
