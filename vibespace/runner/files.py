"""Files that a program is to find when it starts: one that has what it is to have is not written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from vibespace.runner.places import in_home


def put(files: Mapping[str, Any]) -> None:
    """Have these files, by their path in the home, hold these texts, or these fields beside what they hold."""
    for path, content in files.items():
        place = os.path.realpath(in_home(path))  # where it is a link, whoever made it means what it leads to
        there = _held(place)
        wanted = content.encode() if isinstance(content, str) else _joined(b"{}" if there is None else there, content)
        if wanted == there:
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        new = f"{place}.{os.getpid()}"
        with open(new, "wb") as file:
            if there is not None:
                os.fchmod(file.fileno(), os.stat(place).st_mode)
            file.write(wanted)
        os.rename(new, place)


def _held(path: str) -> bytes | None:
    """What that file holds; None where there is none."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return None


def _joined(there: bytes, fields: Mapping[str, Any]) -> bytes:
    """That JSON object with these fields too; the same where it lacks none, or is none, for its program to mend."""
    try:
        found = json.loads(there)
        joined = _added(found, fields)
        return there if joined == found else json.dumps(joined, indent=2).encode()
    except (ValueError, RecursionError):
        return there


def _added(there: Any, wanted: Any) -> Any:
    """What is there already stays; of lists, what is missing comes to their end."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        return there | {name: _added(there.get(name, value), value) for name, value in wanted.items()}
    if isinstance(there, list) and isinstance(wanted, list):
        return there + [each for each in wanted if each not in there]
    return there
