"""What a program says, in files, before anybody sees it."""

from __future__ import annotations

import binascii
import errno
import os
import struct
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import BinaryIO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KINDS = ("", "start", "stdout", "stderr", "input", "exit")
PIECE = 1 << 16
"""Bytes in memory at a time, of whatever is read."""
SEGMENT = 4 << 20
"""Bytes after which a new one is begun."""
_HEAD = struct.Struct(">BQQ")
"""Of a record: the number of its kind, seq, length."""
_SUM = struct.Struct(">I")
"""A CRC over the text and what is before it."""
HEADER = _HEAD.size + _SUM.size
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Journal:
    """Append-only segments, named by the (epoch, seq) of their first record. Told to the page cache before any reader.

    A killed runner loses nothing that it has appended; a machine without power may lose the end, which then is cut.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.full = False
        self._appending = threading.Lock()
        names = segments()
        for name in os.listdir("."):
            if name.startswith("large-"):
                os.unlink(name)
        self.epoch, self._seq, self._file, self.ended = 0, 0, -1, True
        self.end = ("", 0)
        self.last = (0, 0)
        """Epoch and seq of the newest record that readers have."""
        if names:
            self._reopen(names[-1])

    def begin(self) -> int:
        """A new epoch, in a segment of its own: it is never used again, whatever happens next."""
        with self._appending:
            self.epoch, self._seq, self.ended = self.epoch + 1, 0, False
            self._roll()
            self.patiently(sync, ".")
            return self.epoch

    def append(self, kind: str, *texts: bytes) -> None:
        """Keep each as a record; returns when readers have them. Waits while the volume is full."""
        with self._appending:
            if self.end[1] >= SEGMENT:
                self._roll()
            records = bytearray()
            for text in texts:
                self._seq += 1
                records += header(kind, self._seq, len(text), binascii.crc32(text)) + text
            self.write(self._file, records, self.end[1])
            self.ended = kind == "exit"
            self._grew(self.end[0], self.end[1] + len(records))

    def adopt(self, kind: str, path: str, file: int, length: int, crc: int) -> None:
        """Have a long line, which was collected in a file behind room for a header, become a segment."""
        with self._appending:
            self._seq += 1
            self.write(file, header(kind, self._seq, length, crc), 0)
            name = name_of(self.epoch, self._seq)
            self.patiently(os.rename, path, name)
            os.close(self._file)
            self._file = file
            self._grew(name, HEADER + length)

    def write(self, file: int, data: bytes | bytearray, at: int) -> None:
        """Write all; while there is no room hold the caller, and with it the program."""
        rest = memoryview(data)
        while rest:
            done = self.patiently(os.pwrite, file, rest, at)
            rest, at = rest[done:], at + done

    def patiently(self, do: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What `do` gives, again and again while the volume is full: a trim wakes, other room nobody tells of."""
        while True:
            try:
                done = do(*args, **named)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._tell(True)
                with self.changed:
                    self.changed.wait(0.5)
                continue
            self._tell(False)
            return done

    def trim(self, to: tuple[int, int]) -> int:
        """Remove the segments that hold nothing after `to`; the last one stays, for it knows the epoch."""
        names = segments()
        gone = [name for name, after in pairwise(names) if position(after) <= (to[0], to[1] + 1)]
        for name in gone:
            os.unlink(name)
        with self.changed:
            self.changed.notify_all()
        return len(gone)

    def _reopen(self, name: str) -> None:
        """Cut what a crash left half written; go on behind it."""
        self.epoch, self._seq = position(name)
        self._seq -= 1
        self._file = os.open(name, os.O_RDWR | os.O_CLOEXEC)
        self.ended, at = False, 0
        with open(name, "rb") as file:
            while record := whole(file):
                kind, self._seq, length = record
                self.ended, at = kind == "exit", at + HEADER + length
        os.ftruncate(self._file, at)
        self.end, self.last = (name, at), (self.epoch, self._seq)

    def _roll(self) -> None:
        name = name_of(self.epoch, self._seq + 1)
        file = self.patiently(os.open, name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._grew(name, 0)

    def _grew(self, name: str, size: int) -> None:
        with self.changed:
            self.end, self.last = (name, size), (self.epoch, self._seq)
            self.changed.notify_all()

    def _tell(self, full: bool) -> None:
        with self.changed:
            if self.full != full:
                self.full = full
                self.changed.notify_all()


def header(kind: str, seq: int, length: int, crc: int) -> bytes:
    """What stands before a text that has this CRC."""
    head = _HEAD.pack(KINDS.index(kind), seq, length)
    return head + _SUM.pack(binascii.crc32(head, crc))


def head_of(header: bytes) -> tuple[str, int, int]:
    """The kind, seq and length that a header tells."""
    kind, seq, length = _HEAD.unpack_from(header)
    return KINDS[kind], seq, length


def whole(file: BinaryIO) -> tuple[str, int, int] | None:
    """The next record's kind, seq and length, read past it; None where it is torn or the file ends."""
    head = file.read(HEADER)
    if len(head) < HEADER:
        return None
    kind, seq, length = _HEAD.unpack_from(head)
    crc, left = 0, length
    while left and (piece := file.read(min(left, PIECE))):
        crc, left = binascii.crc32(piece, crc), left - len(piece)
    if left or not 0 < kind < len(KINDS) or header(KINDS[kind], seq, length, crc) != head:
        return None
    return KINDS[kind], seq, length


def name_of(epoch: int, seq: int) -> str:
    """The segment that begins with that record; by name they are in order."""
    return f"{epoch:012}-{seq:016}"


def position(name: str) -> tuple[int, int]:
    """Epoch and seq of the record with which a segment begins."""
    epoch, seq = name.split("-")
    return int(epoch), int(seq)


def segments() -> list[str]:
    """The names of all, in order."""
    return sorted(name for name in os.listdir(".") if name[:1].isdigit())


def sync(path: str) -> None:
    """Return when a power cut would leave it."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
