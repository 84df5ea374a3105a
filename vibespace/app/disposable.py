"""Files that spare work, and that nothing is lost with: whatever is wrong with one, there is simply none.

One JSON value a line, the first of which says which build wrote it, and a hash over all that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any


def write(path: Path, build: str, values: Iterable[Any]) -> None:
    """Replace the file at `path`. Not synced: what a power failure leaves of it is noticed. Raises OSError.

    It is written value by value: other threads get their turn in between.
    """
    digest = sha256()
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            for line in map(_line, _all(build, values)):
                digest.update(line)
                file.write(line)
            file.write(_line(digest.hexdigest()))
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)  # half a file on a full disk helps nobody
        raise


def read(path: Path, build: str) -> list[Any] | None:
    """What that very build wrote, whole; None for anything else."""
    try:
        *lines, last = path.read_bytes().splitlines(keepends=True)
        if json.loads(last) != sha256(b"".join(lines)).hexdigest():
            return None
        by, *values = map(json.loads, lines)
    except (OSError, ValueError):
        return None
    return values if by == build else None


def build(sources: Iterable[Path]) -> str:
    """A name for what these files say."""
    digest = sha256()
    for source in sources:
        digest.update(sha256(source.read_bytes()).digest())
    return digest.hexdigest()


def _all(build: str, values: Iterable[Any]) -> Iterable[Any]:
    yield build
    yield from values


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
