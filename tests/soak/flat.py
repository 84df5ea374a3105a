"""What was sampled, and whether it stays: a straight line through the second half of the samples must not climb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class Sample:
    """Of a daemon at rest: all that was created has been deleted."""

    minutes: float
    lives: int
    memory_megabytes: float
    descriptors: int
    tasks: int
    threads: int
    children: int
    state_megabytes: float


BOUNDS = {"memory_megabytes": 4.0, "descriptors": 2.0, "tasks": 2.0, "threads": 2.0, "children": 1.0}
"""Most that each may climb over the second half. The state directory has the history, which is to grow."""
LEAST = 4
"""Samples without which no line can be drawn."""
SHOWN = 12


def climbs(samples: Sequence[Sample]) -> dict[str, float]:
    """What each of BOUNDS climbs over the second half, by the line that fits its samples best."""
    if len(samples) < LEAST:
        raise ValueError(f"{len(samples)} samples are too few to judge; let it run longer")
    half = samples[len(samples) // 2 :]
    return {field: _climb([float(getattr(sample, field)) for sample in half]) for field in BOUNDS}


def failures(samples: Sequence[Sample]) -> list[str]:
    """A sentence for all that is not flat."""
    return [
        f"{field}: climbs by {climb:.2f} over the second half, at most {BOUNDS[field]:g} is flat"
        for field, climb in climbs(samples).items()
        if climb > BOUNDS[field]
    ]


def table(samples: Sequence[Sample]) -> str:
    """Some of the samples, the first and the last among them."""
    last = len(samples) - 1
    shown = sorted({round(number * last / (SHOWN - 1)) for number in range(SHOWN)})
    rows = [[field.name.replace("_", " ") for field in fields(Sample)]]
    rows += [[_number(value) for value in astuple(samples[number])] for number in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)


def _climb(values: Sequence[float]) -> float:
    """Slope of the least squares' line, times its length."""
    count = len(values)
    middle, mean = (count - 1) / 2, sum(values) / count
    over = sum((number - middle) * (value - mean) for number, value in enumerate(values))
    return over / sum((number - middle) ** 2 for number in range(count)) * (count - 1)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"
