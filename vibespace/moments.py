"""How long, and how long ago, as a person says it. Read by the daemon and by the command line, in one grammar."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def span(text: str) -> timedelta | None:
    """As long as `90s`, `10m`, `2h`, `7d` or `2w`; None for what says no such length."""
    said = _SPAN.fullmatch(text)
    try:
        return timedelta(**{_UNITS[said[2]]: int(said[1])}) if said else None
    except OverflowError:  # longer than there are years
        return None


def ago(text: str, now: datetime) -> datetime | None:
    """The time that a `span` before `now` was; None for what says no such time."""
    length = span(text)
    try:
        return None if length is None else now - length
    except OverflowError:  # before the first year there is
        return None
