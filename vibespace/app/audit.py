"""Finds what in the log is not as it was written: events that were changed, taken out, put elsewhere or put in twice.

Each row's hash is over the one before, so one look at every row, in order, shows where something is wrong. What it is,
is found by looking where the row would be right: at another place, or after another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from eventsourcing.persistence import StoredEvent

KINDS = ("changed", "missing", "reordered", "doubled", "cut_off", "unreadable")
CHANGED, MISSING, REORDERED, DOUBLED, CUT_OFF, UNREADABLE = KINDS
_MOST = 32
"""Rows that are looked at more closely: where more are wrong, what each of them was helps nobody."""
_NEAR = 8
"""Places around a row's own at which it is tried: so many events taken out or put in at one place are counted."""


@dataclass(frozen=True)
class Damage:
    """Something that is wrong with the log."""

    position: int
    kind: str
    message: str


@dataclass(frozen=True)
class Unreadable:
    """A row whose columns no event was ever written as."""

    position: int
    hash: bytes
    """Empty when even that is nonsense: then the next row cannot be checked."""


class Row(Protocol):
    """A row that can be read."""

    @property
    def position(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def stored(self) -> StoredEvent: ...


R = TypeVar("R", bound=Row)


@dataclass
class _Suspect(Generic[R]):
    row: R
    before: bytes
    """Stored hash of the row before it."""
    shift: int


@dataclass
class Audit(Generic[R]):
    """`take` every row in order, then `finish`."""

    link: Callable[[bytes, int, StoredEvent], bytes]
    """A row's hash, from that of the row before, its place and its event."""
    genesis: bytes
    """What stands before the first row."""
    same: Callable[[R], Sequence[int]]
    """The places of all rows that claim to be the same version of the same thing."""
    position: int = 0
    """Of the last row that was looked at."""
    found: list[Damage] = field(default_factory=list)
    more: int = 0
    """Damages beyond those in `found`."""
    _hash: bytes = field(init=False)
    _shift: int = 0
    _suspects: list[_Suspect[R]] = field(default_factory=list)
    _since: int = 0
    """Suspects before this one are from before the last row that was right."""
    _gaps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hash = self.genesis

    def take(self, rows: Iterable[R | Unreadable]) -> None:
        """Look at the next ones."""
        for row in rows:
            if row.position != self.position + 1:
                self._gap(row)
            elif isinstance(row, Unreadable):
                self._note(row.position, CHANGED, "It is not as it was written, and no event at all.")
            elif self._hash:
                self._look(row)
            self.position, self._hash = row.position, row.hash

    def finish(self) -> list[Damage]:
        """All that was found, in order."""
        hashes = {s.row.hash for s in self._suspects} | {s.before for s in self._suspects}
        hashes |= {self.link(s.before, s.row.position + s.shift, s.row.stored) for s in self._suspects}
        for suspect in self._suspects:
            self._judge(suspect, hashes)
        self.found.sort(key=lambda damage: damage.position)
        return self.found

    def _look(self, row: R) -> None:
        if self.link(self._hash, row.position + self._shift, row.stored) == row.hash:
            self._since = len(self._suspects)
            return
        for shift in range(self._shift - _NEAR, self._shift + _NEAR + 1):
            if self.link(self._hash, row.position + shift, row.stored) == row.hash:
                self._moved(row, shift)
                return
        if len(self._suspects) < _MOST:
            self._suspects.append(_Suspect(row, self._hash, self._shift))
        else:
            self.more += 1

    def _gap(self, row: R | Unreadable) -> None:
        first, last = self.position + 1, row.position - 1
        which = f"The events {first} to {last} are" if last > first else f"Event {first} is"
        self._note(first, MISSING, f"{which} not there.")
        self._gaps += range(first, min(last + 1, first + _MOST))
        # What the row itself says cannot be checked: its predecessor is gone.
        self._since = len(self._suspects)

    def _moved(self, row: R, shift: int) -> None:
        """From here on all rows are `shift` away from where they were written."""
        fresh = self._suspects[self._since :]
        at = fresh[0].row.position if fresh else row.position
        if shift > self._shift:
            many = shift - self._shift
            what = "An event was" if many == 1 else f"{many} events were"
            self._note(at, MISSING, f"{what} taken out here, and those after moved up.")
            del self._suspects[self._since :]  # whose predecessor is gone: nothing can be said of it
        else:
            for suspect in fresh:
                suspect.shift = shift
        self._shift = shift
        self._since = len(self._suspects)

    def _judge(self, suspect: _Suspect[R], hashes: set[bytes]) -> None:
        row = suspect.row
        if any(self.link(h, row.position + suspect.shift, row.stored) == row.hash for h in hashes):
            return  # it is right: only its neighbour is not
        if others := [p for p in self.same(row) if p != row.position]:
            self._note(row.position, DOUBLED, f"It is the event of position {others[0]} once more.")
            return
        stored = {s.row.hash for s in self._suspects}
        places = {s.row.position + s.shift for s in self._suspects} | set(self._gaps)
        for place in sorted(places - {row.position + suspect.shift}):
            if any(self.link(h, place, row.stored) in stored for h in hashes):
                self._note(row.position, REORDERED, f"It is the event that was at position {place}.")
                return
        self._note(row.position, CHANGED, "It is not as it was written.")

    def _note(self, position: int, kind: str, message: str) -> None:
        if len(self.found) < 2 * _MOST:
            self.found.append(Damage(position, kind, message))
        else:
            self.more += 1
