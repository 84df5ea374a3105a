"""How long, and how long ago, as it is typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vibespace.moments import ago, span

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("0s", NOW),
        ("90s", datetime(2026, 1, 15, 11, 58, 30, tzinfo=UTC)),
        ("10m", datetime(2026, 1, 15, 11, 50, tzinfo=UTC)),
        ("12h", datetime(2026, 1, 15, tzinfo=UTC)),
        ("7d", datetime(2026, 1, 8, 12, tzinfo=UTC)),
        ("2w", datetime(2026, 1, 1, 12, tzinfo=UTC)),
    ],
)
def test_units(text: str, then: datetime) -> None:
    """Seconds, minutes, hours, days and weeks are known by their first letters."""
    assert ago(text, NOW) == then


NONE = ("", "10", "m", "-1s", "1.5h", "1y", "1h30m", "10 m", "1234567890s", "999999999w", "\u0663m")


@pytest.mark.parametrize("text", NONE)
def test_no_time(text: str) -> None:
    """What is no amount of one unit, or reaches back before there are years, is no time."""
    assert ago(text, NOW) is None


def test_lengths() -> None:
    """In the same words; one that is longer than there are years is still a length."""
    said = [span(text) for text in ("0s", "90s", "2w", "999999999w", "1 h", "")]
    assert said == [timedelta(), timedelta(seconds=90), timedelta(days=14), None, None, None]
