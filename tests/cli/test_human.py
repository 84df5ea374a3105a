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
    """Commits and images are known by 12 digits, also behind a name."""
    assert human.digest("sha256:" + "0123456789abcdef" * 4) == "0123456789ab"
    assert human.digest("0123456789" * 4) == "012345678901"
    named = "registry.example:5000/team/agent:1@"
    assert human.digest(f"{named}sha256:" + "0123456789abcdef" * 4) == f"{named}0123456789ab"
    for whole in ("fake", "registry.example/agent:1", "me@" + "0123456789" * 4):
        assert human.digest(whole) == whole
