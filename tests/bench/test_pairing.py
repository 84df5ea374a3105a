"""The statistics of the bench, and where its table goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import report
from tests.bench.pairing import COUNT, Figure, Wanted, added, alone, in_turns, paired, percentile


def figure(value: float, floor: float | None = 1) -> Figure:
    return Figure("a call", Wanted(1.5), value, value, floor, "ms")


async def test_turns_alternate() -> None:
    """Ours and the floor take turns, and the first pair is not counted."""
    order: list[str] = []

    async def ours() -> int:
        order.append("ours")
        return len(order)

    async def floor() -> int:
        order.append("floor")
        return len(order)

    assert await in_turns(ours, floor, 2) == [(3, 4), (5, 6)]
    assert order == ["ours", "floor"] * 3


def test_what_slows_both_changes_no_ratio() -> None:
    """The ratio is that within the pairs: a machine that is ten times slower for a while does not move it."""
    assert paired("", Wanted(2), [(3, 2), (30, 20), (3, 2)], "ms").value == 1.5


def test_what_slows_both_adds_nothing() -> None:
    """So it is with what ours has on top of its floor, which is in the unit that is wanted."""
    figure = added("", Wanted(2, unit="ms"), [(3, 2), (31, 30), (3, 2)])
    assert (figure.value, figure.missed, figure.decides, figure.unit) == (1, False, True, "ms")


def test_percentile() -> None:
    """A percentile is one of the values, the smallest that so many do not exceed."""
    assert [percentile(range(1, 201), p) for p in (50, 99, 100)] == [100, 198, 200]
    assert percentile([7], 99) == 7


def test_missed() -> None:
    """At most means at most, at least means at least, and the limit itself is met."""
    assert [figure(value).missed for value in (1.4, 1.5, 1.6)] == [False, False, True]
    assert [Wanted(2, at_least=True).met(value) for value in (1.9, 2, 2.1)] == [False, True, True]


@pytest.mark.parametrize(("values", "runs", "code"), [([1], 1, 0), ([2, 2, 1], 3, 0), ([2, 2, 2], 3, 1)])
def test_only_three_misses_of_three_fail(
    values: list[float], runs: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is missed is measured again, up to three times, and only then the bench fails."""
    left = list(values)

    async def rows() -> list[Figure]:
        return [figure(left.pop(0))]

    monkeypatch.setattr(bench, "ROWS", {"row": rows})
    monkeypatch.setattr("sys.argv", ["bench"])
    assert bench.main() == code
    assert len(left) == len(values) - runs


@pytest.mark.parametrize(("unit", "code"), [("ms", 0), (COUNT, 1)])
def test_without_a_floor_only_a_count_fails(unit: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other figure that has no floor is reported as missed, and ends nothing."""

    async def rows() -> list[Figure]:
        return [alone("seen", Wanted(5, unit=unit), 6)]

    monkeypatch.setattr(bench, "ROWS", {"row": rows})
    monkeypatch.setattr("sys.argv", ["bench"])
    assert bench.main() == code


def test_the_readme_keeps_all_but_the_table(tmp_path: Path) -> None:
    """Only what stands between the marks is replaced, as often as wanted."""
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    for _ in range(2):
        report.write(readme, [figure(1.25)])
    written = readme.read_text()
    assert written.startswith("before\n\n<!-- bench -->\n| what |")
    assert "| a call | ≤ 1.5 \N{MULTIPLICATION SIGN} | 1.25 \N{MULTIPLICATION SIGN} | 1.25 ms | 1.00 ms |" in written
    assert written.endswith("|\n<!-- /bench -->\n\nafter\n")


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    """A README that has no place for the table is left as it is."""
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    with pytest.raises(ValueError, match="no place"):
        report.write(readme, [figure(1)])
    assert readme.read_text() == "nothing\n"
