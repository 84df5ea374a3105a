"""Which frames of a log have been told, for when it is read once more and not all of them are in both readings."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import suppress
from datetime import datetime

from vibespace.engine.base import Written

REMEMBERED = 1 << 15
"""How many of the newest frames are known at least: more than the megabyte that our own Podman keeps has room for,
as its shortest take 46 bytes."""


class Told:
    """Frames, most of which begin with their time. Equal ones are counted: Podman 4.3 tells no more than the second.

    The bound is one of memory, some 5 MB: who follows may do so for months.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        # What is known, the older half first, and the time at which each half begins: the first begins with all.
        self._halves: deque[tuple[datetime | None, Counter[int]]] = deque([(None, Counter())], maxlen=2)
        # Of each stream what the line that has only begun is known by, in either reading.
        self._begun: dict[bool, int] = {}
        self._begun_again: dict[bool, int] = {}

    def add(self, frame: Written) -> None:
        """It has been told."""
        if len(self._halves[-1][1]) >= self._remembered and (time := time_of(frame)):
            self._halves.append((time, Counter()))
        self._halves[-1][1][_key(frame, self._begun)] += 1

    def take(self, frame: Written) -> bool:
        """Whether it has been told, for each time that it was; older than all that is known counts as told."""
        key = _key(frame, self._begun_again)
        for _, known in self._halves:
            if known[key]:
                known[key] -= 1
                return True
        since, time = self._halves[0][0], time_of(frame)
        return since is not None and time is not None and time < since


def _key(frame: Written, begun: dict[bool, int]) -> int:
    """What it is known by. An end of a line goes with its beginning, kept in `begun`: many lines end alike."""
    key = hash((begun.pop(frame.stderr, None), frame))
    if not frame.data.endswith(b"\n"):
        begun[frame.stderr] = key
    return key


def time_of(frame: Written) -> datetime | None:
    """None where it does not begin with one: what the engine itself says amid a log, or the piece that a cut left."""
    with suppress(ValueError):
        time = datetime.fromisoformat(frame.data.partition(b" ")[0].decode())
        return time if time.tzinfo else None
    return None
