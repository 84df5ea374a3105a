"""One line on stderr that says what is happening now and for how long; only where somebody watches."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from vibespace_cli import cells, table
from vibespace_cli.output import Output

_TICK = 1.0
"""Seconds between two looks at the clock; what happens is shown when it does."""


class Progress:
    """A context: the line lives as long as it does."""

    def __init__(self, output: Output) -> None:
        self._shown = output.live
        self._text = ""
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if self._shown:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        with self._lock:
            if self._shown and self._text:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()

    def show(self, text: str) -> None:
        """Say `text` from now on; empty changes nothing."""
        if text and self._shown:
            with self._lock:
                self._text = "".join(c if c.isprintable() else " " for c in text)
                self._draw()

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                if self._text and not self._over.is_set():
                    self._draw()

    def _draw(self) -> None:
        elapsed = f" {time.monotonic() - self._started:.0f}s"
        room = table.terminal_width() - len(elapsed) - 1
        sys.stderr.write(f"\r\x1b[K{cells.cut(self._text, max(1, room))}{elapsed}")
        sys.stderr.flush()
