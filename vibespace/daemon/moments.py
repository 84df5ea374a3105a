"""A moment of the history, as a person says it: a position, a time, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime

from vibespace.errors import InvalidArgument
from vibespace.moments import ago


def parse(text: str, now: datetime) -> int | datetime:
    """A position, or a time that is not after `now`. Raises InvalidArgument MOMENT_INVALID, MOMENT_AHEAD."""
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    time = _time(text, now)
    if time is None:
        raise InvalidArgument(
            "MOMENT_INVALID",
            f"{text[:60]!a} is no moment.",
            field="moment",
            hint="Say a position such as 120, a time with its zone such as 2026-01-02T03:04:05Z, or how long ago: 10m.",
        )
    if time > now:
        raise InvalidArgument(
            "MOMENT_AHEAD",
            f"{text[:60]} has not come yet.",
            field="moment",
            hint="Leave it out to see everything as it is now.",
        )
    return time


def _time(text: str, now: datetime) -> datetime | None:
    if time := ago(text, now):
        return time
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None  # whoever asks may be in another zone than this daemon
