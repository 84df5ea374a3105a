"""An amount as people read it. Told by the daemon and by the command line, in one way."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes: `1.5 GB`, in powers of 1000 as the engines print them."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.5:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.95 else f"{amount:.1f} {unit}"
