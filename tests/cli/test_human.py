"""Amounts and digests as people read them."""

from __future__ import annotations

import pytest
from vibespace_cli import human


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
    assert human.size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (3600, "1 h"), (93784, "1 d 2 h")]
)
def test_durations_have_two_units(seconds: int, said: str) -> None:
    """What is smaller than the second does not matter."""
    assert human.duration(seconds) == said


def test_digests_are_short_and_other_texts_whole() -> None:
    """Commits and images are known by 12 digits."""
    assert human.digest("sha256:" + "0123456789abcdef" * 4) == "0123456789ab"
    assert human.digest("0123456789" * 4) == "012345678901"
    assert human.digest("fake") == "fake"
