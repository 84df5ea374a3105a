"""Tables are as wide as the terminal at most, and nothing in them is lost."""

from __future__ import annotations

import pytest
from vibespace_cli import cells, table

HEADER = ["VIBESPACE", "STATE", "AGENTS", "REASON"]
ROWS = [
    ["a" * 30, "running", "1", ""],
    ["日本語の名前はここに", "failed", "12", "the free disk space is the limit here"],
]


@pytest.mark.parametrize("prose", [True, False])
@pytest.mark.parametrize("width", [4, 10, 20, 27, 30, 45, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(width: int, prose: bool) -> None:
    """Cells take several lines, sentences stand below, and in the end every value stands behind its name."""
    made = table.lines(HEADER, ROWS, width, prose=prose)
    assert len(made) == 1 + len(ROWS)
    for row, block in zip(ROWS, made[1:], strict=True):
        assert all(cells.width(line) <= width for line in block)
        seen = sorted("".join(block).replace(" ", ""))
        for cell in row:
            for character in cell.replace(" ", ""):
                seen.remove(character)


def test_what_fits_is_on_one_line() -> None:
    """Nothing is wrapped while there is room."""
    assert table.lines(["NAME", "SIZE"], [["one", "2 B"], ["three", ""]], 11) == [
        ["NAME   SIZE"],
        ["one    2 B"],
        ["three"],
    ]


def test_sentences_take_what_room_is_left_or_stand_below() -> None:
    """The last column is wrapped within itself, or under its row where that would make it a ribbon."""
    header, rows = ["SETTING", "REASON"], [["storage", "volumes have no quotas here"]]
    assert table.lines(header, rows, 34, prose=True)[1] == ["storage  volumes have no quotas", "         here"]
    assert table.lines(header, rows, 24, prose=True)[1] == ["storage", "      volumes have no", "      quotas here"]


def test_what_is_to_stay_whole_is_broken_last() -> None:
    """The other columns make room for it, also where their words break."""
    header, row = ["TYPE", "SUBJECT"], ["conversation.interrupt_requested", "claude-1@a-longer-name"]
    assert table.lines(header, [row], 46, whole=[0])[1] == [
        "conversation.interrupt_requested  claude-1@a-",
        "                                  longer-name",
    ]


def test_words_are_not_broken_while_values_can_stand_behind_their_names() -> None:
    """Columns are as narrow as their words at least; longer ones are broken, as nothing would be gained."""
    header, row = ["TYPE", "VARIABLE", "USED BY"], ["environment", "DATABASE_URL", "claude-1@shop, codex-1@shop"]
    assert table.lines(header, [row], 43)[1] == [
        "environment  DATABASE_URL  claude-1@shop,",
        "                           codex-1@shop",
    ]
    assert table.lines(header, [row], 40)[1] == [
        "TYPE: environment",
        "VARIABLE: DATABASE_URL",
        "USED BY: claude-1@shop, codex-1@shop",
        "",
    ]
    assert table.lines(["NAME", "N"], [["a-name-that-is-long", "1"]], 19)[1] == ["a-name-that-is-   1", "long"]


def test_columns_keep_their_widths_over_batches() -> None:
    """What comes later stands under what came before."""
    widths: list[int] = []
    table.lines(["NAME", "N"], [["long-name", "1"]], 40, widths)
    assert table.lines(["NAME", "N"], [["a", "2"]], 40, widths)[1] == ["a          2"]


def test_words_are_broken_where_they_can_be_read() -> None:
    """Between words first, then after a mark, then anywhere; a wide character is never halved."""
    assert cells.wrap("the free disk", 8) == ["the free", "disk"]
    assert cells.wrap("vibespace.deletion_requested", 22) == ["vibespace.deletion_", "requested"]
    assert cells.wrap("claude-1@demo", 10) == ["claude-1@", "demo"]
    assert cells.wrap("a" * 5, 2) == ["aa", "aa", "a"]
    assert cells.wrap("日本語", 5) == ["日本", "語"]
    assert cells.wrap("", 5) == [""]


def test_a_wide_character_stands_where_there_is_no_room_for_it() -> None:
    """In one column each is a line, wherever it comes in the text."""
    assert cells.wrap("a漢", 1) == ["a", "漢"]
    assert cells.wrap("漢 字a", 1) == ["漢", "字", "a"]


def test_what_is_drawn_over_is_cut() -> None:
    """A line of progress ends in `…` where it would be wider."""
    assert cells.cut("日本語", 4) == "日…"
    assert cells.cut("abc", 3) == "abc"
