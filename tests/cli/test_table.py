"""Tables are as wide as the terminal at most, whatever is in them."""

from __future__ import annotations

import pytest
from vibespace_cli import table

HEADER = ["VIBESPACE", "STATE", "AGENTS"]
ROWS = [["a" * 30, "running", "1"], ["日本語の名前はここに", "stopped", "12"]]


@pytest.mark.parametrize("width", [4, 10, 20, 27, 30, 45, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Columns are cut, the widest first; where that is not enough, lines are."""
    made = table.lines(HEADER, ROWS, width)
    assert len(made) == 3
    assert all(table._cells(line) <= width for line in made)


def test_what_fits_is_whole() -> None:
    """Nothing is cut while there is room; what is cut says so."""
    assert table.lines(HEADER, ROWS, 60)[1].split() == ROWS[0]
    assert table.lines(HEADER, ROWS, 40)[1].split() == ["a" * 22 + "…", "running", "1"]
    assert table.cut("日本語", 4) == "日…"
    assert table.cut("abc", 3) == "abc"
