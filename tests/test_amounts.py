"""Amounts as people read them."""

from __future__ import annotations

import pytest

from vibespace import amounts


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_999, "1.0 MB"),
        (1_482_000_000, "1.5 GB"),
        (10**16, "10000 TB"),
    ],
)
def test_sizes_have_the_unit_that_keeps_them_short(count: int, said: str) -> None:
    """Three digits at most, until the units end."""
    assert amounts.size(count) == said
