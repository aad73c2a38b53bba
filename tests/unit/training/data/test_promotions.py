"""What promotions sold, counted against a loop, and the rows of any span."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from app.model.promotions import table
from training.data.promotions import PlacedLines, Promotions, load_promotions

START = datetime(2026, 1, 5, tzinfo=UTC)
FIRST_DAY = START.timestamp() / 86_400
PRODUCTS, STORES = ["a", "b", "c"], ["n", "s"]


def write(folder: Path, rows: Sequence[tuple[str, str | None, int, int, str | None, str | None]]) -> None:
    """The table of promotions of product, store, first and end day (of START), display and flyer."""
    dated = [
        (name, store, START + timedelta(first), START + timedelta(end), *shown)
        for name, store, first, end, *shown in rows
    ]
    folder.mkdir(exist_ok=True)
    pl.DataFrame(dated, schema=table.SCHEMA, orient="row").write_parquet(folder / table.FILE)


def loaded(folder: Path, lines: list[tuple[int, int, float]]) -> Promotions | None:
    """Loaded next to lines of item, store and day of START."""
    item, store, day = (np.array(column) for column in zip(*lines, strict=True))
    placed = PlacedLines(item.astype(np.int32), store.astype(np.int32), day + FIRST_DAY)
    return load_promotions(folder, PRODUCTS, STORES, placed)


def test_sales_and_traffic_are_those_of_the_loop(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    lines = sorted(
        (
            (int(i), int(s), float(d))
            for i, s, d in zip(
                random.integers(3, size=400), random.integers(-1, 2, 400), random.uniform(0, 30, 400), strict=True
            )
        ),
        key=lambda line: line[2],
    )
    rows = [
        (
            PRODUCTS[int(random.integers(3))],
            [None, "n", "s", "unsold"][int(random.integers(4))],
            first,
            first + int(random.integers(1, 9)),
            None,
            None,
        )
        for first in range(28)
    ]
    write(tmp_path, rows)
    found = loaded(tmp_path, lines)
    assert found is not None
    sums: dict[tuple[int, int], list[int]] = {}
    for name, store, first, end, *_ in rows:
        there = [
            one
            for one in lines
            if first <= one[2] < end and (store is None or (store in STORES and STORES.index(store) == one[1]))
        ]
        total = sums.setdefault((PRODUCTS.index(name), end), [0, 0])
        total[0] += sum(one[0] == PRODUCTS.index(name) for one in there)
        total[1] += len(there)
    counted: dict[tuple[int, int], list[int]] = {}
    for item, minute, sales, traffic in zip(found.item, found.end_minute, found.sales, found.traffic, strict=True):
        total = counted.setdefault((int(item), round(minute / 1440 - FIRST_DAY)), [0, 0])
        total[0] += int(sales)
        total[1] += int(traffic)
    assert counted == sums
    assert found.row_count == len(rows)


def test_rows_of_a_span_are_those_in_force_within_it_and_unknown_products_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            ("a", "n", 0, 7, None, "1"),
            ("b", None, 7, 14, "end", None),
            ("c", "new", 14, 21, None, None),
            ("x", "n", 7, 14, "1", "1"),
        ],
    )
    found = loaded(tmp_path, [(0, 0, 1.0)])
    assert found is not None
    rows = found.between(FIRST_DAY + 7, FIRST_DAY + 15)
    order = rows.item.argsort()
    assert rows.item[order].tolist() == [1, 2]
    assert [("n", "s", "new")[store] if store >= 0 else None for store in rows.store[order]] == [None, "new"]
    assert rows.shown[order].tolist() == [[True, False], [False, False]]
    assert (rows.minutes[order] / 1440 - FIRST_DAY).tolist() == [[7, 14], [14, 21]]


def test_without_a_table_or_without_times_there_are_no_promotions(tmp_path: Path) -> None:
    assert loaded(tmp_path, [(0, 0, 1.0)]) is None
    write(tmp_path, [("a", "n", 0, 7, None, None)])
    assert loaded(tmp_path, [(0, 0, -FIRST_DAY)]) is None
    write(tmp_path, [("x", "n", 0, 7, None, None)])
    assert loaded(tmp_path, [(0, 0, 1.0)]) is None
