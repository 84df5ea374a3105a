"""The file in which a program keeps its conversation, line by line into the journal."""

from __future__ import annotations

import os
import stat
import threading
import time
from typing import BinaryIO

from vibespace.runner.journal import PIECE, Journal
from vibespace.runner.lines import Draft
from vibespace.runner.places import in_home

_OFTEN, _SELDOM = 0.05, 2.0
"""Seconds between two looks at it: while anything is journalled, and when nothing has been for long."""
_LONG = 10.0
_FAR = 64 * 1024 * 1024
"""Bytes of it in which something is looked for."""


def look_for(text: str, path: str) -> str:
    """The STATE of that file in the home: see `tail` in the package."""
    try:
        with open(os.open(in_home(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            return "found" if _is_in(text.encode(), file) else "without"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "without"  # it is no file, or nobody's to read


def _is_in(text: bytes, file: BinaryIO) -> bool:
    """In a whole line, one of the first."""
    left = _FAR if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else 0
    held = b""
    for wanted in (text, b"\n"):
        while wanted not in held:
            if left <= 0 or not (piece := file.read(PIECE)):
                return False
            held = held[-len(wanted) :] + piece
            left -= len(piece)
        held = held[held.index(wanted) + len(wanted) :]
    return True


class Transcript:
    """It is looked at, not watched: of inotify's instances a user has 128, and a hundred agents may be one user's.

    What writes it also says something, or calls a hook, and either wakes who looks; so looking seldom costs no delay.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._left, self._left_size = "", -1
        """The one before, and how large that was when it was looked at last."""
        self._forget()
        if journal.tailed:
            self._start()

    def tail(self, path: str) -> None:
        """From now on its lines come: from where they had come before. All that are in the former by now, and in this
        one, come before what is journalled next; what is written late into the former comes when it is there.

        Raises ValueError for what can be no path.
        """
        in_home(path)
        self.look()
        with self._looking:
            if self._journal.tailed != path:
                self._left, self._left_size = self._journal.tailed, self._seen[1]
                self._turn_to(path)
                self._look()
            if not self._thread:
                self._start()

    def look(self) -> None:
        """All its lines that are there by now come before what is journalled next."""
        with self._looking:
            if self._journal.tailed:
                self._look_back()
                self._look()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _forget(self) -> None:
        self._seen = (0, -1)
        """Its inode and size when it was looked at last."""
        self._scanned = 0
        """How far no line ends, of a long one."""

    def _follow(self) -> None:
        journal, end, busy = self._journal, ("", -1), 0.0
        while True:
            with self._looking:
                self._look_back()
                self._look()
            if journal.end != end:
                end, busy = journal.end, time.monotonic()
            if time.monotonic() < busy + _LONG:
                time.sleep(_OFTEN)
                continue
            with journal.changed:
                if journal.end == end:
                    journal.changed.wait(_SELDOM)

    def _turn_to(self, path: str) -> None:
        self._journal.tail(path)
        self._forget()

    def _look_back(self) -> None:
        """What was written into the one before when that was left already."""
        try:
            size = os.stat(in_home(self._left)).st_size if self._left else self._left_size
        except OSError:
            return  # it is gone
        if size != self._left_size:
            self._left_size, current = size, self._journal.tailed
            self._turn_to(self._left)
            self._look()
            self._turn_to(current)

    def _look(self) -> None:
        path = in_home(self._journal.tailed)
        try:
            found = os.stat(path)
            seen = found.st_ino, found.st_size
            if seen == self._seen or not stat.S_ISREG(found.st_mode):
                return
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # it is not there yet
        try:
            if self._seen[0] not in (0, found.st_ino) or found.st_size < self._journal.tailed_to:
                self._journal.again()
                self._scanned = 0
            self._read(file)
            self._seen = seen
        finally:
            os.close(file)

    def _read(self, file: int) -> None:
        """All whole lines that are new."""
        while True:
            at = self._journal.tailed_to
            piece = os.pread(file, PIECE, at)
            lines, newline, _ = piece.rpartition(b"\n")
            if newline:
                self._journal.append("transcript", *(line + b"\n" for line in lines.split(b"\n")))
            elif len(piece) < PIECE or not self._long(file, at):
                return

    def _long(self, file: int, at: int) -> bool:
        """A line that is longer than a piece; False when its end is not there yet."""
        self._scanned = max(self._scanned, at)
        while (piece := os.pread(file, PIECE, self._scanned)) and b"\n" not in piece:
            self._scanned += len(piece)
        if not piece:
            return False
        end = self._scanned + piece.index(b"\n") + 1
        draft = Draft(self._journal, "transcript", "transcript")
        while at < end:
            piece = os.pread(file, min(PIECE, end - at), at)
            if not piece:
                draft.drop()  # it was cut meanwhile
                return False
            draft.add(piece)
            at += len(piece)
        draft.keep()
        return True
