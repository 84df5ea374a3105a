"""The table of a bench, for the terminal and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.pairing import Figure

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
HEAD = ("what", "wanted", "measured", "ours", "floor", "")


def text(figures: Sequence[Figure]) -> str:
    """Columns for a terminal."""
    rows = [HEAD, *map(_cells, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    padded = (map(str.ljust, row, widths) for row in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def markdown(figures: Sequence[Figure]) -> str:
    """The same for a page."""
    rows = [HEAD[:-1], ("---",) * (len(HEAD) - 1), *(_cells(figure)[:-1] for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(readme: Path, figures: Sequence[Figure]) -> None:
    """Replace what stands between the marks in `readme`. Raises ValueError where they are missing."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} has no place for the table: {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n{markdown(figures)}\n{END}{after}")


def _cells(figure: Figure) -> tuple[str, ...]:
    floor = "" if figure.floor is None else _number(figure.floor, figure.unit)
    measured = _number(figure.value, figure.wanted.unit)
    return (
        figure.what,
        str(figure.wanted),
        measured,
        _number(figure.ours, figure.unit),
        floor,
        "missed" if figure.missed else "",
    )


def _number(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"
