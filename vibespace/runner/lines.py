"""What comes in pieces, into the journal as whole records."""

from __future__ import annotations

import binascii
import os

from vibespace.runner.journal import HEADER, PIECE, Journal


class Draft:
    """One record in the making: in memory while it is short, in a file when it is long."""

    def __init__(self, journal: Journal, kind: str, name: str) -> None:
        self._journal, self._kind, self._path = journal, kind, f"large-{name}"
        self._text = b""
        self._file, self._crc = -1, 0
        self.length = 0

    def add(self, piece: bytes) -> None:
        """More of it. Waits while the volume is full."""
        self._text += piece
        self.length += len(piece)
        if len(self._text) >= PIECE:
            self._spill()

    def keep(self) -> None:
        """It is whole: journal it, and begin the next."""
        if self._file < 0:
            self._journal.append(self._kind, self._text)
        else:
            self._spill()
            self._journal.adopt(self._kind, self._path, self._file, self.length, self._crc)
        self._text, self._file, self._crc, self.length = b"", -1, 0, 0

    def drop(self) -> None:
        """There is no rest of it."""
        if self._file >= 0:
            os.close(self._file)
            os.unlink(self._path)
        self._text, self._file, self._crc, self.length = b"", -1, 0, 0

    def _spill(self) -> None:
        if self._file < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._file = self._journal.patiently(os.open, self._path, flags, 0o600)
        self._journal.write(self._file, self._text, HEADER + self.length - len(self._text))
        self._crc = binascii.crc32(self._text, self._crc)
        self._text = b""


class Lines:
    """Bytes as they are read; each line of them becomes a record."""

    def __init__(self, journal: Journal, kind: str) -> None:
        self._journal, self._kind = journal, kind
        self._rest = Draft(journal, kind, kind)

    def feed(self, piece: bytes) -> None:
        """What was read next, of at most PIECE bytes."""
        line, newline, more = piece.partition(b"\n")
        self._rest.add(line + newline)
        if newline:
            self._rest.keep()
            *lines, rest = more.split(b"\n")
            if lines:
                self._journal.append(self._kind, *(line + b"\n" for line in lines))
            self._rest.add(rest)

    def end(self) -> None:
        """What was the last line, though it lacks its newline."""
        if self._rest.length:
            self._rest.keep()
