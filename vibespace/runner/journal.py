"""What a program says, in files, before anybody sees it."""

from __future__ import annotations

import binascii
import errno
import json
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import BinaryIO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KINDS = (
    "", "start", "stdout", "stderr", "input", "exit", "connected", "disconnected", "transcript", "hook", "mark",
)  # fmt: skip
"""A record has its number; new ones at the end, for what is journalled already stays."""
PIECE = 1 << 16
"""Bytes in memory at a time, of whatever is read."""
SEGMENT = 4 << 20
"""Bytes after which a new one is begun."""
MOST_TAILED = 100
"""Transcripts of which it is remembered how far they are here."""
_HEAD = struct.Struct(">BQQ")
"""Of a record: the number of its kind, seq, length."""
_SUM = struct.Struct(">I")
"""A CRC over the text and what is before it."""
HEADER = _HEAD.size + _SUM.size
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MOST_TRIES = 4
"""Of what finds no room, half a second apart, before who is attached is told: a tool may yet give back what it took."""


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
        self.tailed = ""
        """The transcript of which lines come."""
        self._read: dict[str, int] = {}
        """How far each transcript is in the journal; the latest last."""
        if names:
            self._reopen(names[-1])

    def surpass(self, epoch: int) -> None:
        """The next life is a later one than that: of a journal that was lost, more is known elsewhere."""
        with self._appending:
            self.epoch = max(self.epoch, epoch)

    def begin(self, start: bytes) -> int:
        """A new epoch, in a segment of its own: it is never used again, whatever happens next."""
        with self._appending:
            self.epoch, self._seq, self.ended = self.epoch + 1, 0, False
            self._roll(start)
            self.patiently(sync, ".")
            return self.epoch

    def append(self, kind: str, *texts: bytes) -> tuple[int, int]:
        """Keep each as a record; returns the last one's place, once readers have it. Waits where it is full."""
        with self._appending:
            if self._file < 0 or self.end[1] >= SEGMENT:
                self._roll()
            records = b"".join(self._records(kind, texts))
            self.write(self._file, records, self.end[1])
            self._keep(kind, sum(map(len, texts)))
            self._grew(self.end[0], self.end[1] + len(records))
            return self.epoch, self._seq

    def adopt(self, kind: str, path: str, file: int, length: int, crc: int) -> None:
        """Have a long line, which was collected in a file behind room for a header, become a segment."""
        with self._appending:
            self._seq += 1
            name = name_of(self.epoch, self._seq)
            self.write(file, header(kind, self._seq, length, crc), 0)
            self._keep(kind, length)
            mark = b"".join(self._marks())
            self.write(file, mark, HEADER + length)
            self._replace(path, name, file, HEADER + length + len(mark))

    def tail(self, path: str) -> None:
        """From now on lines of that transcript come."""
        with self._appending:
            if self.tailed != path:
                self.tailed, at = path, self._read.pop(path, 0)
                self._read = dict([*self._read.items(), (path, at)][-MOST_TAILED:])
                self._mark()

    @property
    def tailed_to(self) -> int:
        """How far that is here."""
        return self._read.get(self.tailed, 0)

    def again(self) -> None:
        """The transcript is another file now, to be read from its beginning."""
        with self._appending:
            self._read[self.tailed] = 0
            self._mark()

    def write(self, file: int, data: bytes | bytearray, at: int) -> None:
        """Write all; while there is no room hold the caller, and with it the program."""
        rest = memoryview(data)
        while rest:
            done = self.patiently(os.pwrite, file, rest, at)
            rest, at = rest[done:], at + done

    def patiently(self, do: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """What `do` gives, again and again while the volume is full: a trim wakes, other room nobody tells of."""
        tried = 0
        while True:
            try:
                done = do(*args, **named)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                tried += 1
                if tried > _MOST_TRIES:
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
                at += HEADER + length
                self._keep(kind, length)
                if kind == "mark":
                    self._unmark(os.pread(self._file, length, at - length))
        os.ftruncate(self._file, at)
        self.end, self.last = (name, at), (self.epoch, self._seq)

    def _roll(self, start: bytes = b"") -> None:
        """Begin a segment, which is there with its first records or not at all."""
        path, name = "large-segment", name_of(self.epoch, self._seq + 1)
        file = self.patiently(os.open, path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        records = b"".join([*self._records("start", [start] if start else []), *self._marks()])
        self.write(file, records, 0)
        if records:
            self.patiently(sync, path)
        self._replace(path, name, file, len(records))

    def _replace(self, path: str, name: str, file: int, size: int) -> None:
        self.patiently(os.rename, path, name)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._grew(name, size)

    def _records(self, kind: str, texts: Iterable[bytes]) -> Iterator[bytes]:
        for text in texts:
            self._seq += 1
            yield header(kind, self._seq, len(text), binascii.crc32(text))
            yield text

    def _keep(self, kind: str, length: int) -> None:
        """What a record of that kind changes."""
        if kind in ("start", "exit"):
            self.ended = kind == "exit"
        elif kind == "transcript":
            self._read[self.tailed] = self.tailed_to + length

    def _mark(self) -> None:
        if self._file < 0 or self.end[1] >= SEGMENT:
            self._roll()
            return
        mark = b"".join(self._marks())
        self.write(self._file, mark, self.end[1])
        self._grew(self.end[0], self.end[1] + len(mark))

    def _marks(self) -> Iterator[bytes]:
        """A record of what a reader of the last segment alone would not know, if there is any."""
        if self.tailed or self.ended:
            told = {"path": self.tailed, "at": self.tailed_to, "read": self._read, "ended": self.ended}
            return self._records("mark", [json.dumps(told).encode()])
        return iter(())

    def _unmark(self, text: bytes) -> None:
        told = json.loads(text)
        self.tailed, self._read, self.ended = told["path"], told["read"], told["ended"]

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
