"""Ours and its floor, measured in turns: what slows the machine for a while slows both, and the ratio stays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

COUNT = "times"
"""The unit of what is counted, which is the same on every machine."""

T = TypeVar("T")
Measure = Callable[[], Awaitable[T]]


@dataclass(frozen=True)
class Wanted:
    """What a figure should be: at most `limit`, or at least it; a ratio to the floor unless `unit` says another."""

    limit: float
    at_least: bool = False
    unit: str = "\N{MULTIPLICATION SIGN}"

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `value` is what is held against `wanted`; without a floor it is `ours`."""

    what: str
    wanted: Wanted
    value: float
    ours: float
    floor: float | None
    unit: str
    """Of `ours` and `floor`."""

    @property
    def missed(self) -> bool:
        return not self.wanted.met(self.value)

    @property
    def decides(self) -> bool:
        """Only a ratio, or a count, can fail a bench: time and memory alone tell as much of the machine as of us."""
        return self.floor is not None or self.unit == COUNT


def failed(figures: Iterable[Figure]) -> bool:
    """Whether what decides has missed what is wanted."""
    return any(figure.missed and figure.decides for figure in figures)


async def in_turns(ours: Measure[T], floor: Measure[T], pairs: int) -> list[tuple[T, T]]:
    """Ours, floor, ours, floor …, after one pair that only warms up."""
    await ours()
    await floor()
    return [(await ours(), await floor()) for _ in range(pairs)]


def paired(what: str, wanted: Wanted, pairs: Sequence[tuple[float, float]], unit: str) -> Figure:
    """The figure of measurements taken in turns: the median of the ratios within the pairs."""
    value = median(ours / floor for ours, floor in pairs)
    return Figure(what, wanted, value, median(o for o, _ in pairs), median(f for _, f in pairs), unit)


def added(what: str, wanted: Wanted, pairs: Sequence[tuple[float, float]]) -> Figure:
    """As `paired`, of the differences: what ours has on top of its floor, in the unit of `wanted`."""
    value = median(ours - floor for ours, floor in pairs)
    return Figure(what, wanted, value, median(o for o, _ in pairs), median(f for _, f in pairs), wanted.unit)


def alone(what: str, wanted: Wanted, value: float) -> Figure:
    """A figure that has no floor."""
    return Figure(what, wanted, value, value, None, wanted.unit)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * percent // 100) - 1)]
