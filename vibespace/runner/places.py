"""Where the runner keeps what it has, and the mark of what it has started."""

from __future__ import annotations

import os

HOME = os.path.join(os.path.expanduser("~"), ".vibespace", "runner")
MARK = b"VIBESPACE_PROGRAM=" + os.fsencode(HOME)
"""In the environment of all that a program starts: by it they are found after a crash, in whatever session they are."""
