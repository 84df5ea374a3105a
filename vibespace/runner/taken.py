"""Which inputs the program was given."""

from __future__ import annotations

import mmap
import os

from vibespace.runner.journal import Journal


class Taken:
    """The ids of inputs, for ever: a line when one is begun, another when it is written. Searched in the file."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._file = os.open("taken", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open("taken", "rb") as file:
            self._size = sum(len(line) for line in file if line.endswith(b"\n"))
        os.ftruncate(self._file, self._size)

    def add(self, state: str, name: str) -> None:
        """`state` is begun or wrote."""
        line = f"{state} {name}\n".encode()
        self._journal.write(self._file, line, self._size)
        self._size += len(line)

    def state(self, name: str) -> str:
        """`repeated`, `uncertain`, or nothing: it is free."""
        if not self._size:
            return ""
        with mmap.mmap(self._file, self._size, prot=mmap.PROT_READ) as lines:
            if lines.find(f"wrote {name}\n".encode()) >= 0:  # an id has no space: what is before one is a whole word
                return "repeated"
            return "uncertain" if lines.find(f"begun {name}\n".encode()) >= 0 else ""
