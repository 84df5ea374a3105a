"""Lines on a terminal that the next ones replace."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence


class Screen:
    """Where a table is drawn again whenever it changes. What stood above it stays."""

    def __init__(self) -> None:
        self._height = 0

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines, as many as there is room for, in place of the last ones."""
        room = shutil.get_terminal_size().lines - 1
        shown = list(lines)
        if len(shown) > room > 1:
            shown = [*shown[: room - 1], f"… and {len(shown) - room + 1} more"]
        back = f"\x1b[{self._height}A" if self._height else ""
        sys.stdout.write(f"{back}\r\x1b[J" + "".join(f"{line}\n" for line in shown))
        sys.stdout.flush()
        self._height = len(shown)
