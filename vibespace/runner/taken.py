"""Which inputs the program was given."""

from __future__ import annotations

import mmap
import os
import threading

from vibespace.runner.journal import Journal


class Taken:
    """The ids of inputs: a line when one is begun, another, with its place, when it is written. Searched in the file.

    A written one is forgotten when its record was trimmed, for who trims has that; one that was begun only never is.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._open()

    def begin(self, name: str) -> None:
        """It is going to be written."""
        self._add(f"begun {name}\n")

    def written(self, name: str, place: tuple[int, int]) -> None:
        """The program has it, and so has the journal."""
        self._add(f"{place[0]} {place[1]} wrote {name}\n")

    def state(self, name: str) -> str:
        """`repeated`, `uncertain`, or nothing: it is free."""
        with self._lock:
            if not self._size:
                return ""
            with mmap.mmap(self._file, self._size, prot=mmap.PROT_READ) as lines:
                if lines.find(f"wrote {name}\n".encode()) >= 0:  # an id has no space: before it is a whole word
                    return "repeated"
                return "uncertain" if lines.find(f"begun {name}\n".encode()) >= 0 else ""

    def forget(self, first: tuple[int, int]) -> None:
        """Those written whose record was before `first`."""
        with self._lock:
            gone = set()
            with open("taken", "rb") as file:
                for line in file:
                    *place, state, name = line.split()
                    if state == b"wrote" and (int(place[0]), int(place[1])) < first:
                        gone.add(name)
            if not gone:
                return
            try:
                with open("taken", "rb") as file, open("taken.new", "wb") as new:
                    new.writelines(line for line in file if line.split()[-1] not in gone)
                os.rename("taken.new", "taken")
            except OSError:
                return  # no room for the shorter one: the next trim tries again
            os.close(self._file)
            self._open()

    def _add(self, line: str) -> None:
        with self._lock:
            self._journal.write(self._file, line.encode(), self._size)
            self._size += len(line.encode())

    def _open(self) -> None:
        self._file = os.open("taken", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open("taken", "rb") as file:
            self._size = sum(len(line) for line in file if line.endswith(b"\n"))
        os.ftruncate(self._file, self._size)
