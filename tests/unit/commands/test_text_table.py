"""Tables fit the terminal: words wrap, figures stay whole, and what is too wide is listed row by row."""

import pytest
from rich.console import Console

from app.commands.text_table import TextTable

VERSION = "20261128T174910.155925Z-4587ca17"
FIGURES = TextTable(
    ("figure", VERSION, "least most"),
    [("replay: the quality of forty customers", "0.5175", "+0.0000 (-0.0010 to +0.0200)"), ("customers", "1,280", "–")],
)
BUNDLES = TextTable(
    ("version", "", "created", "ndcg@10", "data until", "forced because"),
    [(VERSION, "live", "2026-11-28 17:49", "0.5175", "2026-11-27 18:00", "the season is over")],
)


def lines(table: TextTable, *, width: int) -> list[str]:
    """The table as a terminal so wide shows it."""
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_figures_are_whole_at_every_width(width: int) -> None:
    shown = lines(FIGURES, width=width)
    for figure in ("0.5175", "+0.0000 (-0.0010 to +0.0200)", "1,280"):
        assert any(figure in line for line in shown)
    assert max(map(len, shown)) <= width
    assert not any("…" in line for line in shown)


def test_wider_terminal_needs_fewer_lines() -> None:
    assert len(lines(FIGURES, width=120)) < len(lines(FIGURES, width=70))


def test_numbers_are_below_each_other_by_their_last_digit() -> None:
    first, second = lines(TextTable(("metric", "value"), [("a", "9.5"), ("b", "1,280.25")]), width=80)[-2:]
    assert len(first) == len(second)


def test_table_too_wide_for_the_terminal_is_listed_row_by_row() -> None:
    assert lines(BUNDLES, width=80) == [
        VERSION,
        "  live",
        "  created: 2026-11-28 17:49",
        "  ndcg@10: 0.5175",
        "  data until: 2026-11-27 18:00",
        "  forced because: the season is over",
    ]
    assert len(lines(BUNDLES, width=140)) == 3


def test_table_without_rows_says_so() -> None:
    assert lines(TextTable(("version", "created"), []), width=80) == ["(none)"]
    assert lines(TextTable(("version", "created"), [], title="bundles"), width=80) == ["bundles: (none)"]
