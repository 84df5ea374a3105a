"""Times and digests as people read them."""

from __future__ import annotations

import pytest
from vibespace_cli import human


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
