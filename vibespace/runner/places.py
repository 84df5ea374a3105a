"""Where the runner keeps what it has, and the mark of what it has started."""

from __future__ import annotations

import os
from collections.abc import Mapping

HOME = os.path.join(os.path.expanduser("~"), ".vibespace", "runner")
MARK = b"VIBESPACE_PROGRAM=" + os.fsencode(HOME)
"""In the environment of all that a program starts: by it they are found after a crash, in whatever session they are."""


def put(files: Mapping[str, str]) -> None:
    """Have these files, by their path in the home, hold these texts."""
    for path, text in files.items():
        place = os.path.join(os.path.expanduser("~"), path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        new = f"{place}.{os.getpid()}"
        with open(new, "w") as file:
            file.write(text)
        os.rename(new, place)
