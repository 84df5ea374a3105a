"""What counts as flat."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from tests.soak.flat import Sample, climbs, failures, table

SAMPLE = Sample(0, 0, 80, 20, 15, 12, 0, 1)


def samples(**each: Sequence[float]) -> list[Sample]:
    rows = zip(*each.values(), strict=True)
    return [dataclasses.replace(SAMPLE, **dict(zip(each, row, strict=True))) for row in rows]


def test_a_leak_is_told() -> None:
    """A descriptor that each sample has more is no flat line, and only that is told of."""
    assert failures(samples(descriptors=[20 + n for n in range(20)])) == [
        "descriptors: climbs by 9.00 over the second half, at most 2 is flat"
    ]


def test_what_warms_up_is_flat() -> None:
    """What climbs in the first half alone has warmed up."""
    assert failures(samples(memory_megabytes=[60, 70, 80, 90, 90.5, 90, 90.2, 90])) == []


def test_noise_is_flat() -> None:
    """What goes up and down by more than the bound climbs by none of it."""
    assert abs(climbs(samples(tasks=[0] * 9 + [15, 30, 15, 30, 15, 30, 15, 30, 15]))["tasks"]) < 2


def test_what_grows_by_itself_is_not_judged() -> None:
    """A history becomes longer: that is no leak."""
    assert failures(samples(state_megabytes=[float(n) for n in range(40)])) == []


def test_too_few_samples_prove_nothing() -> None:
    """A run that ended at once is not called flat."""
    with pytest.raises(ValueError, match="too few"):
        failures([SAMPLE] * 3)


def test_the_table_has_both_ends() -> None:
    """Of many samples some lines are shown, from the first to the last."""
    lines = table(samples(lives=list(range(100)))).splitlines()
    assert len(lines) == 13
    assert [lines[1].split()[1], lines[-1].split()[1]] == ["0", "99"]
