"""Rows as aligned columns on a terminal, where nothing is cut, or as tab-separated lines."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence

from vibespace_cli import cells, shown

GAP = "  "
_NARROWEST = 8
"""Columns below which nobody reads a column any more."""
_WORD = 16
"""Columns of a word, up to which no column is made so narrow that it breaks; longer ones are broken at a mark."""
_PROSE = 24
"""Columns below which a sentence is read more easily in lines of its own."""


def lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    widths: list[int] | None = None,
    whole: Collection[int] = (),
    *,
    prose: bool = False,
) -> list[list[str]]:
    """The lines of each row, the header's first: aligned columns, none of the lines wider than `width`.

    Where there is no room, the widest columns are narrowed and their cells take several lines. `widths` of the rows
    before, if given, are kept where they suffice, and brought up to date. Columns numbered in `whole` are narrowed only
    when that is not enough otherwise. With `prose` the last column is sentences, which may stand below their row. Where
    columns are of no use at all, every value stands behind its name, and the header has no lines.
    """
    table = [[one_line(cell) for cell in row] for row in [header, *rows]]
    natural = widths if widths is not None else []
    before = natural or [0] * len(table[0])
    natural[:] = [max(old, *(cells.width(row[i]) for row in table)) for i, old in enumerate(before)]
    count = len(natural)
    if prose and count > 1 and _left(natural, width) < min(natural[-1], _PROSE):
        count -= 1
    fitted = natural[:count]
    room = width - len(GAP) * (count - 1)
    least = [max(_NARROWEST, *(_longest_word(row[i]) for row in table)) for i in range(count)]
    if prose and count == len(natural):
        least[-1] = _NARROWEST
        _narrow(fitted, room, [count - 1], [_PROSE] * count)
    others = [i for i in range(count) if i not in whole]
    _narrow(fitted, room, others, least)
    if whole:
        _narrow(fitted, room, others, [_NARROWEST] * count)
    _narrow(fitted, room, range(count), least)
    if sum(fitted) > room:
        return _records(table, width)
    return [[*_aligned(row, fitted), *_below(row[count:], fitted, width)] for row in table]


def _left(natural: Sequence[int], width: int) -> int:
    """Columns for the last one, when all others are as wide as they want."""
    return width - sum(natural[:-1]) - len(GAP) * (len(natural) - 1)


def _longest_word(cell: str) -> int:
    return min(_WORD, max(map(cells.width, cell.split()), default=0))


def _narrow(widths: list[int], room: int, columns: Sequence[int], least: Sequence[int]) -> None:
    """Take from the widest of `columns` that is wider than its `least`, until all fit, or there is none."""
    while sum(widths) > room and (wide := [i for i in columns if widths[i] > least[i]]):
        widths[max(wide, key=widths.__getitem__)] -= 1


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [cells.wrap(cell, width) for cell, width in zip(row, widths, strict=False)]
    return [
        GAP.join(
            cells.fill(column[i] if i < len(column) else "", width)
            for column, width in zip(columns, widths, strict=True)
        ).rstrip()
        for i in range(max(map(len, columns)))
    ]


def _below(rest: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    """Under the second column, unless that is far to the right."""
    indent = " " * min(widths[0] + len(GAP), width // 4)
    return [indent + line for cell in rest if cell for line in cells.wrap(cell, width - len(indent))]


def _records(table: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    header, *rows = table
    told = ([f"{name}: {cell}" for name, cell in zip(header, row, strict=True) if cell] for row in rows)
    return [[], *([*(line for each in row for line in cells.wrap(each, width, len(GAP))), ""] for row in told)]


def terminal_width() -> int:
    """Columns of the terminal, which may be beside an answer that goes elsewhere; COLUMNS wins. Without one, 80."""
    import shutil  # It brings the archive formats along: not for an answer in JSON.

    try:
        beside = os.get_terminal_size(2)
    except OSError:
        beside = os.terminal_size((0, 0))
    return shutil.get_terminal_size(beside).columns or 80


def tabbed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row; tabs and line breaks inside a value become spaces, so that columns stay columns."""
    return ["\t".join(one_line(cell) for cell in row) for row in ([header, *rows] if header else rows)]


def one_line(cell: str) -> str:
    """`cell` without what would begin a line, or move the cursor: others may have written it."""
    return shown.whole(re.sub(r"\r?\n|\t", " ", cell))
