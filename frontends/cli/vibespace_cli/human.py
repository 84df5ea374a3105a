"""Times and digests as people read them."""

from __future__ import annotations

import re
import time

_DIGEST = re.compile(r"((?:\S+@(?=sha256:))?)(?:sha256:)?([0-9a-f]{12})[0-9a-f]{28,52}")
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def duration(seconds: int) -> str:
    """The two largest units: `1 d 2 h`, `3 min 20 s`."""
    parts: list[str] = []
    for unit, length in _UNITS:
        count, seconds = divmod(seconds, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(p for p in parts[:2] if p) or "0 s"


def moment(seconds: int) -> str:
    """Seconds since 1970, by the clock on the wall."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def digest(text: str) -> str:
    """The first 12 digits of a commit or an image's id, behind the name of an image that has one; any other text as it
    is.
    """
    found = _DIGEST.fullmatch(text)
    return found[1] + found[2] if found else text
