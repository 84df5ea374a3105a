"""The archive that a copy travels in: POSIX tar (pax), with GNU's sparse files (1.0). Every part of it is bounded.

Not `tarfile`: that writes no sparse files, and believes an archive that says its header has a gigabyte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from vibespace.archive.failures import broken

BLOCK = 512
PIECE = 1 << 18
"""Most bytes handed on in one piece."""

LARGEST = 1 << 62
"""Bytes of the largest file that is believed: what a system can be asked to make."""

LONGEST = 1 << 20
"""Bytes of the longest header that is believed."""

FILE, FOLDER, LINK, OTHER = b"0", b"5", b"2", b"6"
"""Kinds of entries. What is none of the first three travels as a FIFO, and is left out where it arrives."""

Told = Callable[[bytes], object]
"""Hears, on the one end or the other, of what is left out, by its path."""

Counted = Callable[[int], object]
"""Hears how many bytes each step has added to what files hold; headers and holes are not among them."""

END = bytes(2 * BLOCK)
"""An archive that does not end so is not whole."""

Extents = list[tuple[int, int]]
"""(offset, length) of what a sparse file holds, in order."""


@dataclass
class Entry:
    """One file, folder or link."""

    path: bytes
    """Relative; the first entry's is one name, and all others lie below it, each after its folder."""
    kind: bytes
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: bytes = b""
    """Of a link."""
    extents: Extents = field(default_factory=list)
    """Of a file."""


def padding(size: int) -> bytes:
    """What fills the last block of `size` bytes."""
    return bytes(-size % BLOCK)


def head(entry: Entry) -> bytes:
    """What stands before the content of `entry`, which is the bytes of its extents, and padding()."""
    seconds, fraction = divmod(abs(entry.mtime_ns), 10**9)
    time = b"%s%d.%09d" % (b"-" if entry.mtime_ns < 0 else b"", seconds, fraction)
    records = [(b"path", entry.path), (b"mtime", time)]
    held = sum(length for _, length in entry.extents)
    mapped = b""
    if held < entry.size:
        numbers = [len(entry.extents), *(number for extent in entry.extents for number in extent)]
        mapped = b"".join(b"%d\n" % number for number in numbers)
        mapped += padding(len(mapped))
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")]
        records += [(b"GNU.sparse.name", entry.path), (b"GNU.sparse.realsize", b"%d" % entry.size)]
    size = held + len(mapped)
    records += [(b"size", b"%d" % size)] if size >= 8**11 else []
    records += [(b"linkpath", entry.target)] if entry.kind == LINK else []
    pax = b"".join(_record(key, value) for key, value in records)
    begin = _block(b"pax", b"x", 0o644, len(pax)) + pax + padding(len(pax))
    return begin + _block(entry.path, entry.kind, entry.mode, size, entry.mtime_ns // 10**9, entry.target) + mapped


def entries(source: Source) -> Iterator[Entry]:
    """The entries of an archive to its end; the content of each is to be read from `source` before the next."""
    records: dict[bytes, bytes] = {}
    while (block := source.exactly(BLOCK)) != END[:BLOCK]:
        if sum(block[:148]) + sum(block[156:]) + 8 * 32 != _number(block[148:156]):
            raise broken("it is no archive")
        kind, size = block[156:157], _number(block[124:136])
        if kind in b"xgLK":
            if size > LONGEST:
                raise broken("a header is too long")
            told = source.exactly(size + len(padding(size)))[:size]
            if kind == b"x":
                records.update(_records(told))
            elif kind != b"g":
                records[b"path" if kind == b"L" else b"linkpath"] = told.rstrip(b"\0")
            continue
        size = _decimal(records.get(b"size"), size)
        source.begin(size)
        yield _entry(block, kind if kind != b"\0" else FILE, size, records, source)
        source.end()
        records = {}
    if source.exactly(BLOCK) != END[BLOCK:]:
        raise broken("it has no end")


class Source:
    """The bytes of an archive, as they come, and those of one entry's content."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._left = self._pad = 0

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises Failure when there are no more."""
        found = bytearray()
        while len(found) < count:
            found += self._take(count - len(found))
        return bytes(found)

    def content(self, count: int) -> Iterator[memoryview]:
        """The next `count` bytes of the entry's content, in pieces."""
        if count > self._left:
            raise broken("a file is shorter than its header says")
        self._left -= count
        while count:
            piece = self._take(count)
            count -= len(piece)
            yield piece

    def begin(self, size: int) -> None:
        """An entry with so much content begins."""
        self._left, self._pad = size, len(padding(size))

    def end(self) -> None:
        """Pass over what was not read of it."""
        for _ in self.content(self._left):
            pass
        self.exactly(self._pad)

    def _take(self, most: int) -> memoryview:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                raise broken("it ended before it was whole")
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:most], self._rest[most:]
        return taken


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, small pieces put together: a message for each header would take longer than what it tells."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        if size + len(piece) > PIECE:
            yield b"".join(held)
            held, size = [], 0
        held.append(piece)
        size += len(piece)
    yield b"".join(held)


def _entry(block: bytes, kind: bytes, size: int, records: dict[bytes, bytes], source: Source) -> Entry:
    sparse = records.get(b"GNU.sparse.major") == b"1"
    above = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    name = (above + b"/" if above else b"") + _text(block[:100])
    entry = Entry(
        path=records.get(b"GNU.sparse.name" if sparse else b"path", name).rstrip(b"/"),
        kind=kind,
        mode=_number(block[100:108]),
        mtime_ns=_nanoseconds(records.get(b"mtime", b"%d" % _number(block[136:148]))),
        size=_decimal(records.get(b"GNU.sparse.realsize"), size) if sparse else size,
        target=records.get(b"linkpath", _text(block[157:257])),
    )
    if entry.size >= LARGEST or b"\0" in entry.target:
        raise broken("a header cannot be")
    entry.extents = _map(source, size) if sparse else [(0, size)]
    return entry


def _map(source: Source, size: int) -> Extents:
    """The map that a sparse file's content begins with."""
    read = bytearray()
    wanted = 1
    numbers: list[int] = []
    while len(numbers) < wanted:
        if len(read) > min(size, LONGEST):
            raise broken("a map is too long")
        read += b"".join(source.content(BLOCK))
        *lines, _ = bytes(read).split(b"\n")
        if lines:
            wanted = 2 * _decimal(lines[0], 0) + 1
        numbers = [_decimal(line, 0) for line in lines[:wanted]] if len(lines) >= wanted else []
    return list(zip(numbers[1::2], numbers[2::2], strict=True))


def _block(name: bytes, kind: bytes, mode: int, size: int, seconds: int = 0, target: bytes = b"") -> bytes:
    length = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    begin = name[:100].ljust(100, b"\0") + b"%07o\0" % (mode & 0o777) + b"%07o\0" % 0 * 2 + length
    begin += b"%011o\0" % min(max(seconds, 0), 8**11 - 1)
    end = (kind + target[:100].ljust(100, b"\0") + b"ustar\0" + b"00").ljust(BLOCK - 156, b"\0")
    return begin + b"%06o\0 " % (sum(begin) + sum(end) + 8 * 32) + end


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)


def _records(told: bytes) -> Iterator[tuple[bytes, bytes]]:
    while told:
        length, blank, _ = told[:24].partition(b" ")
        end = _decimal(length, 0)
        key, equals, value = told[len(length) + 1 : end - 1].partition(b"=")
        if not (blank and equals and len(length) < end <= len(told)):
            raise broken("a header cannot be read")
        yield key, value
        told = told[end:]


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise broken("a header cannot be read")
    return int(digits or b"0", 8)


def _decimal(text: bytes | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(rb"[0-9]{1,19}", text):
        raise broken("a header cannot be read")
    return int(text)


def _nanoseconds(text: bytes) -> int:
    found = re.fullmatch(rb"(-?)([0-9]{1,10})(?:\.([0-9]{1,30}))?", text)
    if not found:
        raise broken("a header cannot be read")
    amount = int(found[2]) * 10**9 + int((found[3] or b"0")[:9].ljust(9, b"0"))
    return -amount if found[1] else amount
