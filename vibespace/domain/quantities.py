"""Amounts of processor and memory, written as Kubernetes writes them (resource.Quantity)."""

from __future__ import annotations

import re
from decimal import Decimal

from vibespace.errors import InvalidArgument

_FORM = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)([A-Za-z]*)")
_CPU = {"": Decimal(1000), "m": Decimal(1)}
_MEMORY = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_LEAST_MEMORY = 16 * 2**20
"""Below this not even sshd comes up."""


def cpu_millis(text: str, field: str) -> int:
    """Thousandths of a core in `500m`, `2` or `1.5`; at least 1. Raises InvalidArgument QUANTITY_INVALID."""
    number, unit = _parse(text, field, "such as 500m or 2")
    if unit not in _CPU:
        raise _invalid(text, field, "such as 500m or 2")
    millis = number * _CPU[unit]
    if millis < 1 or millis != int(millis) or millis > 10**6:
        raise _invalid(text, field, "between 1m and 1000")
    return int(millis)


def check_processors(text: str, field: str, processors: int) -> None:
    """Raises InvalidArgument QUANTITY_INVALID for more than the `processors` that there are."""
    if cpu_millis(text, field) > processors * 1000:
        there = f"{processors} processor{'s' if processors > 1 else ''}"
        raise InvalidArgument(
            "QUANTITY_INVALID", f"{text} is more than the {there} of the engine's machine.", field=field
        )


def memory_bytes(text: str, field: str) -> int:
    """Bytes in `512Mi`, `2G` or `1.5Gi`; at least 16 MiB. Raises InvalidArgument QUANTITY_INVALID."""
    number, unit = _parse(text, field, "such as 512Mi or 2Gi")
    if unit not in _MEMORY:
        raise _invalid(text, field, "such as 512Mi or 2Gi")
    amount = number * _MEMORY[unit]
    if not _LEAST_MEMORY <= amount <= 2**60:
        raise _invalid(text, field, "of at least 16Mi")
    return int(amount)


def _parse(text: str, field: str, form: str) -> tuple[Decimal, str]:
    match = _FORM.fullmatch(text) if text.isascii() else None
    if not match:
        raise _invalid(text, field, form)
    return Decimal(match[1]), match[2]


def _invalid(text: str, field: str, form: str) -> InvalidArgument:
    shown = ascii(text if len(text) <= 60 else f"{text[:57]}...")
    return InvalidArgument("QUANTITY_INVALID", f"{shown} is not an amount {form}.", field=field)
