"""Rows as aligned columns that fit the terminal, or as tab-separated lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

GAP = "  "
_NARROWEST = 8


def lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    widths: list[int] | None = None,
    whole: Collection[int] = (),
) -> list[str]:
    """Aligned columns; when they are wider than `width`, the widest are cut and end in `…`.

    `widths` of the lines before, if given, are kept where they suffice, and brought up to date. Columns numbered in
    `whole` are cut only when cutting the others is not enough.
    """
    table = [[_one_line(cell) for cell in row] for row in ([header, *rows] if header else rows)]
    if not table:
        return []
    widths = widths if widths is not None else []
    before = widths or [0] * len(table[0])
    widths[:] = [max(old, *(_cells(row[i]) for row in table)) for i, old in enumerate(before)]
    room = width - len(GAP) * (len(widths) - 1)
    _narrow(widths, room, [i for i in range(len(widths)) if i not in whole], _NARROWEST // 2 if whole else _NARROWEST)
    _narrow(widths, room, range(len(widths)), _NARROWEST)
    aligned = (GAP.join(_fit(cell, w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)
    return [cut(line, width) for line in aligned]


def _narrow(widths: list[int], room: int, columns: Sequence[int], narrowest: int) -> None:
    """Take from the widest of `columns` until all fit, or all of these are `narrowest`."""
    while columns and sum(widths) > room:
        widest = max(columns, key=widths.__getitem__)
        if widths[widest] <= narrowest:
            return
        widths[widest] -= 1


def terminal_width() -> int:
    """Columns of the terminal; COLUMNS wins. Where there is none, 80."""
    import shutil  # It brings the archive formats along: not for an answer in JSON.

    return shutil.get_terminal_size().columns


def tabbed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row; tabs and line breaks inside a value become spaces, so that columns stay columns."""
    return ["\t".join(_one_line(cell) for cell in row) for row in ([header, *rows] if header else rows)]


def _one_line(cell: str) -> str:
    return "".join(c if c.isprintable() else " " for c in cell)


def cut(text: str, width: int) -> str:
    """`text`, ended by `…` where it would be wider."""
    return _fit(text, width).rstrip() if _cells(text) > width else text


def _fit(cell: str, width: int) -> str:
    if _cells(cell) <= width:
        return cell + " " * (width - _cells(cell))
    kept, used = "", 0
    for c in cell:
        if used + _cells(c) > width - 1:
            break
        kept, used = kept + c, used + _cells(c)
    return kept + "…" + " " * (width - 1 - used)


def _cells(value: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    if value.isascii():
        return len(value)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in value)
