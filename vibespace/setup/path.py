"""Where programs are, for root and for users alike."""

from __future__ import annotations

import os
import shutil

_OF_ROOT = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def program(name: str, *beyond: str) -> str:
    """Where it is: in PATH, in what a user's may lack, or in the directories `beyond`. Empty when it is nowhere."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_OF_ROOT, *beyond))
    return shutil.which(name, path=path) or ""
