"""How long ago, as a person says it. Read by the daemon and by the command line, in one grammar."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_AGO = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def ago(text: str, now: datetime) -> datetime | None:
    """The time that `90s`, `10m`, `2h`, `7d` or `2w` before `now` was; None for what says no such time."""
    said = _AGO.fullmatch(text)
    if said is None:
        return None
    try:
        return now - timedelta(**{_UNITS[said[2]]: int(said[1])})
    except OverflowError:  # before the first year there is
        return None
