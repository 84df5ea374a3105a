"""Amounts of processor and memory."""

from __future__ import annotations

import pytest

from vibespace.domain import quantities
from vibespace.errors import InvalidArgument


@pytest.mark.parametrize(("text", "millis"), [("1", 1000), ("500m", 500), ("1.5", 1500), ("0.001", 1), ("1000", 10**6)])
def test_cpu(text: str, millis: int) -> None:
    """Cores, or thousandths of one."""
    assert quantities.cpu_millis(text, "cpu") == millis


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16Mi", 2**24),
        ("512Mi", 2**29),
        ("2Gi", 2**31),
        ("1.5Gi", 3 * 2**29),
        ("2G", 2 * 10**9),
        ("20000000", 20_000_000),
    ],
)
def test_memory(text: str, size: int) -> None:
    """Bytes, with decimal or binary suffixes."""
    assert quantities.memory_bytes(text, "memory") == size


BAD = [
    "",
    "10X",
    "-1",
    "+1",
    "1e3",
    "1,5",
    " 1",
    "1 ",
    "1\n",
    "nan",
    "inf",
    "\uff11",
    "1Kib",
    "1.2.3",
    "m",
    "9" * 40,
    "0",
]


@pytest.mark.parametrize("text", [*BAD, "0.0001", "1001", "1Mi"])
def test_what_is_no_cpu(text: str) -> None:
    """Anything else is refused, naming the field."""
    with pytest.raises(InvalidArgument) as refused:
        quantities.cpu_millis(text, "spec.cpu")
    assert (refused.value.reason, refused.value.field) == ("QUANTITY_INVALID", "spec.cpu")


@pytest.mark.parametrize("text", [*BAD, "1m", "15Mi", "1", "999999Ti9"])
def test_what_is_no_memory(text: str) -> None:
    """Anything else is refused, also what no container comes up with."""
    with pytest.raises(InvalidArgument) as refused:
        quantities.memory_bytes(text, "spec.memory")
    assert (refused.value.reason, refused.value.field) == ("QUANTITY_INVALID", "spec.memory")
