"""A nightly file of stock: what differs from what was known then, and what counts from then on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select

from app.errors import InvalidRequest
from app.places.reports import HORIZON
from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.changes import last_change
from app.stores.sql.places.reconciliation import (
    Reconciled,
    StockDifference,
    StockDifferences,
    StockFile,
    StockLine,
    reconcile_stock,
)
from app.stores.sql.places.stock import apply_stock
from tests.unit.places.stock_histories import START, expected_milli, history_of

NIGHT = START + timedelta(hours=18, microseconds=1)
NOW = START + timedelta(hours=30)
FILE = StockFile(NIGHT, "nightly")


def said(milli: int, *, at: datetime = START, sender: str = "erp") -> StockReport:
    """An absolute quantity."""
    return StockReport(sender, f"{at}", at, None, quantity_milli=milli)


def sold(milli: int, *, at: datetime) -> StockReport:
    """A change downwards."""
    return StockReport("till", f"{at}", at, None, change_milli=-milli)


def apply(ledger: Ledger, *lines: tuple[str, str, StockReport]) -> None:
    """One batch."""
    ledger.write(lambda connection: apply_stock(connection, lines, now=NOW))


def table(ledger: Ledger) -> dict[tuple[str, str], tuple[int | None, int]]:
    """Quantity and number of the last change of every cell."""
    columns = (stock.c.store_id, stock.c.product_id, stock.c.quantity_milli, stock.c.changed)
    rows = ledger.read(lambda c: c.execute(select(*columns)).all())
    return {(store, product): (milli, changed) for store, product, milli, changed in rows}


def shop(ledger: Ledger) -> None:
    """Two stores with one product of each kind that a file can meet."""
    after = NIGHT + timedelta(hours=1)
    apply(
        ledger,
        ("s1", "right", said(5000)),
        ("s1", "wrong", said(5000)),
        ("s1", "sold before", said(5000)), ("s1", "sold before", sold(1000, at=NIGHT - timedelta(hours=1))),
        ("s1", "sold since", said(5000)), ("s1", "sold since", sold(2000, at=after)),
        ("s1", "counted since", said(7000, at=after)),
        ("s1", "unknown", sold(1000, at=after)),
        ("s1", "gone", said(3000)),
        ("s1", "gone already", said(0)),
        ("s2", "elsewhere", said(4000)),
    )  # fmt: skip


LINES: tuple[StockLine, ...] = (
    ("s1", "right", 5000),
    ("s1", "wrong", 4000),
    ("s1", "sold before", 4000),
    ("s1", "sold since", 5000),
    ("s1", "counted since", 9000),
    ("s1", "unknown", 6000),
    ("s1", "new", 2000),
)
NAMED = (
    StockDifference("s1", "new", None, 2000),
    StockDifference("s1", "unknown", None, 6000),
    StockDifference("s1", "wrong", 5000, 4000),
)
GONE = StockDifference("s1", "gone", 3000, 0)


def test_differences_are_exact_and_only_those_have_a_number(ledger: Ledger) -> None:
    shop(ledger)
    before = table(ledger)
    found = reconcile_stock(ledger, LINES, file=FILE, now=NOW)
    assert found == Reconciled(StockDifferences(3, 3, 1, NAMED), missing=StockDifferences(1, 1, 0, (GONE,)))
    expected = {
        "wrong": (4000, 11), "unknown": (5000, 10), "new": (2000, 9), "gone": (0, 12),
    }  # fmt: skip
    assert table(ledger) == before | {("s1", product): row for product, row in expected.items()}


def test_file_that_is_not_complete_leaves_what_it_does_not_name(ledger: Ledger) -> None:
    shop(ledger)
    found = reconcile_stock(ledger, LINES, file=replace(FILE, is_complete=False), now=NOW)
    assert found == Reconciled(StockDifferences(3, 3, 1, NAMED))
    assert table(ledger)["s1", "gone"][0] == 3000


def test_dry_run_finds_the_same_and_writes_nothing(ledger: Ledger) -> None:
    shop(ledger)
    before = table(ledger)
    found = reconcile_stock(ledger, LINES, file=FILE, now=NOW, dry_run=True)
    assert table(ledger) == before
    assert found == reconcile_stock(ledger, LINES, file=FILE, now=NOW)


def test_file_that_is_sent_again_differs_nowhere(ledger: Ledger) -> None:
    shop(ledger)
    reconcile_stock(ledger, LINES, file=FILE, now=NOW)
    before = table(ledger)
    found = reconcile_stock(ledger, LINES, file=FILE, now=NOW)
    assert found == Reconciled(StockDifferences(6, 0, 1), missing=StockDifferences(2, 0, 0))
    assert table(ledger) == before


def test_change_from_before_the_file_that_comes_after_it_is_part_of_it(ledger: Ledger) -> None:
    shop(ledger)
    reconcile_stock(ledger, LINES, file=FILE, now=NOW)
    apply(ledger, ("s1", "right", sold(1000, at=NIGHT - timedelta(minutes=5))))
    assert table(ledger)["s1", "right"][0] == 5000


@pytest.mark.parametrize("seed", range(3))
def test_generated_stores_differ_as_the_reference_model_says(ledger: Ledger, seed: int) -> None:
    random = Random(seed)
    cells = {(f"s{number % 4}", f"p{number}"): history_of(1000 * seed + number) for number in range(160)}
    cells = {cell: reports for cell, reports in cells.items() if reports}
    apply(ledger, *((*cell, one) for cell, reports in cells.items() for one in reports))
    before = table(ledger)
    listed = {cell for cell in cells if cell[0] != "s3" and random.random() < 0.8}
    was = {cell: expected_milli([r for r in reports if r.at <= NIGHT]) for cell, reports in cells.items()}
    lines = [(*cell, was[cell] or 0 if random.random() < 0.5 else random.randrange(50) * 1000) for cell in listed]
    says = {cell: 0 for cell in cells if cell[0] != "s3"} | {(store, product): milli for store, product, milli in lines}
    newer = {c for c in says if any(r.at > NIGHT for r in cells[c] if r.quantity_milli is not None)}
    differing = {cell for cell in says.keys() - newer if was[cell] != says[cell]}
    random.shuffle(lines)
    found = reconcile_stock(ledger, lines, file=FILE, now=NOW)
    for cells_of, differences in ((listed, found.listed), (says.keys() - listed, found.missing)):
        other = sorted(differing & cells_of)
        first = tuple(StockDifference(*cell, was[cell], says[cell]) for cell in other[:100])
        same, superseded = len(cells_of - newer) - len(other), len(newer & cells_of)
        assert differences == StockDifferences(same, len(other), superseded, first)
    for cell, (milli, changed) in table(ledger).items():
        by_file = [said(says[cell], at=NIGHT, sender="nightly")] if cell in says else []
        assert milli == expected_milli([*cells[cell], *by_file])
        assert (changed > before[cell][1]) == (shown(milli) != shown(before[cell][0]))


def shown(milli: int | None) -> int | None:
    """What of it is available."""
    return None if milli is None else max(0, milli)


def test_file_with_two_lines_for_a_cell_changes_nothing(ledger: Ledger) -> None:
    lines = [("s1", "p1", 1000), ("s1", "p2", 1000), ("s1", "p1", 2000)]
    with pytest.raises(InvalidRequest, match="several lines for product p1 in store s1"):
        reconcile_stock(ledger, lines, file=FILE, now=NOW)
    assert table(ledger) == {}


def test_file_that_breaks_off_changes_nothing(ledger: Ledger) -> None:
    def lines() -> Iterator[StockLine]:
        yield from ((f"s{number}", "p1", 1000) for number in range(3000))
        raise OSError("the file ends in the middle")

    with pytest.raises(OSError, match="in the middle"):
        reconcile_stock(ledger, lines(), file=FILE, now=NOW)
    assert table(ledger) == {}


@pytest.mark.parametrize("days", [-3, 1])
def test_file_of_an_impossible_instant_is_refused(ledger: Ledger, days: int) -> None:
    with pytest.raises(InvalidRequest, match="as of 2026"):
        reconcile_stock(ledger, LINES, file=StockFile(NOW + timedelta(days=days), "nightly"), now=NOW)


def test_many_transactions_number_every_cell_in_turn(ledger: Ledger) -> None:
    lines = [(f"s{number % 7}", f"p{number}", 1000) for number in range(2500)]
    assert reconcile_stock(ledger, lines, file=FILE, now=NOW).listed.differing == 2500
    assert sorted(changed for _, changed in table(ledger).values()) == list(range(1, 2501))
    fewer = lines[:1000]
    found = reconcile_stock(ledger, fewer, file=replace(FILE, at=NIGHT + HORIZON / 8), now=NOW)
    assert (found.listed.same, found.missing.differing) == (1000, 1500)
    assert ledger.read(lambda c: last_change(c, "stock")) == 4000


def test_later_file_of_one_instant_counts_whatever_it_says(ledger: Ledger) -> None:
    first, second = replace(FILE, sequence=1), replace(FILE, sequence=2)
    for file, milli in ((first, 1000), (second, 3000), (first, 1000)):
        reconcile_stock(ledger, [("s1", "p1", milli)], file=file, now=NOW)
    assert table(ledger)["s1", "p1"][0] == 3000


def test_progress_counts_the_lines_to_their_end(ledger: Ledger) -> None:
    seen: list[tuple[int, int | None]] = []
    lines = [("s1", f"p{number}", 1000) for number in range(1500)]
    reconcile_stock(ledger, lines, file=FILE, now=NOW, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 1500), (1500, 1500)]
