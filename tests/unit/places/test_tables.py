"""The live tables hold exactly what they were given, in memory and as a file."""

from pathlib import Path

import numpy as np
import pytest

from app.places.snapshot import Seen, read_snapshot, write_snapshot
from app.places.stores import EVERYWHERE
from app.places.tables import ABSENT, FEW_MILLI, LEVEL, MERGE_COUNT, LiveTables, SparseRow, StockLevel, StorePrice
from app.places.views import BundleView


def random_tables(seed: int) -> tuple[LiveTables, dict[tuple[str, str], int], dict[tuple[str, str], tuple[int, int]]]:
    """Tables after some thousand changes, and what they hold as plain dictionaries."""
    random = np.random.default_rng(seed)
    tables, stock, prices = LiveTables(), {}, {}
    for _ in range(4_000):
        store_id, product_id = f"s{random.integers(7)}", f"p{random.integers(900)}"
        if random.random() < 0.7:
            milli = int(random.choice([0, 1, 2_000, 2_500, FEW_MILLI, FEW_MILLI + 1, 90_000]))
            tables.put_stock(StockLevel(store_id, product_id, milli))
            stock[store_id, product_id] = milli
        else:
            price = int(random.choice([ABSENT, 0, 199, 2**40])), int(random.choice([ABSENT, 249]))
            tables.put_price(StorePrice(store_id, product_id, *price))
            prices[store_id, product_id] = price
    return tables, stock, prices


def check(
    tables: LiveTables, stock: dict[tuple[str, str], int], prices: dict[tuple[str, str], tuple[int, int]]
) -> None:
    rows = np.array([tables.row_of[name] for name in tables.store_ids()], np.intp)
    columns = tables.columns(tables.product_ids())
    codes = tables.codes(rows[:, None], columns)
    has = codes & LEVEL != 0
    for store_id, row in tables.row_of.items():
        price = tables.price_of([row], columns)
        for product_id, column in tables.column_of.items():
            milli = stock.get((store_id, product_id), 0)
            assert has[row, column] == (milli > 0)
            left = tables.left_milli(row, column, int(codes[row, column]))
            assert left == (milli if 0 < milli <= FEW_MILLI else None)
            minor, reference = prices.get((store_id, product_id), (ABSENT, ABSENT))
            assert price[0][column] == minor
            assert price[1][column] == (ABSENT if minor == ABSENT else reference)
    assert (tables.has_anywhere(rows) == has.any(axis=0)).all()


@pytest.mark.parametrize("seed", range(3))
def test_tables_hold_what_they_were_given(seed: int) -> None:
    check(*random_tables(seed))


@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_holds_the_same_and_goes_on(seed: int, tmp_path: Path) -> None:
    tables, stock, prices = random_tables(seed)
    write_snapshot(tmp_path / "places" / "live.npz", tables, Seen(7, 4_000, 12))
    found = read_snapshot(tmp_path / "places" / "live.npz")
    assert found is not None
    again, seen = found
    assert seen == Seen(7, 4_000, 12)
    assert again.keeps_stock == tables.keeps_stock
    check(again, stock, prices)
    again.put_stock(StockLevel("s0", "new", 2_000))
    stock["s0", "new"] = 2_000
    check(again, stock, prices)


def test_changes_do_not_reach_a_copy_nor_changes_of_the_copy_the_original() -> None:
    tables, stock, prices = random_tables(0)
    copied = tables.copy()
    for number in range(2 * MERGE_COUNT):
        tables.put_stock(StockLevel("s0", f"p{number % 900}", 2_500 + number))
        tables.put_price(StorePrice("s1", f"p{number}", number, number))
    tables.put_stock(StockLevel("new", "p0", 1_000))
    check(copied, stock, prices)
    again, expected = random_tables(0)[0], (dict(stock), dict(prices))
    copied = again.copy()
    copied.put_stock(StockLevel("new", "new", 2_500))
    copied.put_price(StorePrice("s0", "p0", 77, 88))
    check(again, *expected)


def test_a_damaged_snapshot_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "live.npz"
    assert read_snapshot(path) is None
    write_snapshot(path, random_tables(0)[0], Seen())
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for at in random.integers(0, len(whole), 50).tolist():
        path.write_bytes(whole[:at])
        refused += read_snapshot(path) is None
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        # A flipped bit of a zip's directory may say nothing about the content.
        found = read_snapshot(path)
        refused += found is None or (found[0].cells == read_whole(path, whole).cells).all()
    assert refused == 100


def read_whole(path: Path, content: bytes) -> LiveTables:
    path.write_bytes(content)
    found = read_snapshot(path)
    assert found is not None
    return found[0]


def test_empty_tables_and_a_nameless_store_make_the_way_through_a_file(tmp_path: Path) -> None:
    tables = LiveTables()
    tables.put_price(StorePrice("", "p0", 199, ABSENT))
    write_snapshot(tmp_path / "live.npz", tables, Seen())
    found = read_snapshot(tmp_path / "live.npz")
    assert found is not None
    assert found[0].price_of([0], np.array([0], np.int32))[0].tolist() == [199]


def test_a_row_of_cheap_products_is_no_wider_for_the_dear_ones_of_another_after_a_snapshot(tmp_path: Path) -> None:
    tables = LiveTables()
    columns = tables.columns(f"p{number}" for number in range(2 * MERGE_COUNT))
    for store_id, price in (("cheap", 199), ("dear", 2**40)):
        tables.prices[tables.row(store_id)].put_many(columns, np.full(len(columns), price, np.int64))
    write_snapshot(tmp_path / "live.npz", tables, Seen())
    found = read_snapshot(tmp_path / "live.npz")
    assert found is not None
    assert [row.values.itemsize for row in found[0].prices] == [row.values.itemsize for row in tables.prices] == [1, 8]


def test_a_sparse_row_stays_right_through_many_merges() -> None:
    random = np.random.default_rng(0)
    row, expected = SparseRow.empty(), {}
    for column, value in random.integers(0, 3_000, (10 * MERGE_COUNT, 2)).tolist():
        row.put(column, value if value % 3 else ABSENT)
        expected[column] = value if value % 3 else ABSENT
    columns = np.arange(3_000, dtype=np.int32)
    assert row.of(columns).tolist() == [expected.get(column, ABSENT) for column in range(3_000)]
    assert len(row.columns) > MERGE_COUNT


def test_a_view_numbers_products_as_its_bundle_does() -> None:
    tables, stock, _ = random_tables(0)
    ids = [f"p{number}" for number in range(899, -1, -3)] + ["of-no-store"]
    view = BundleView(tables, tables.columns(ids))
    rows = (tables.row_of["s1"], tables.row_of["s4"])
    expected = [stock.get(("s1", name), 0) > 0 or stock.get(("s4", name), 0) > 0 for name in ids]
    assert view.available(rows).tolist() == expected
    changed = [tables.put_stock(StockLevel("s4", name, 0 if stock.get(("s4", name)) else 9_000)) for name in ids[:40]]
    view.refresh({row for row, _ in changed}, [column for _, column in changed])
    rebuilt = BundleView(tables, tables.columns(ids))
    assert (view.available(rows) == rebuilt.available(rows)).all()
    assert view.available(rows).tolist() != expected


def test_store_that_had_a_price_of_its_own_names_no_reference_of_everywhere() -> None:
    tables = LiveTables()
    tables.put_price(StorePrice(EVERYWHERE, "tea", 199, 249))
    for price_minor in (99, ABSENT):
        tables.put_price(StorePrice("s1", "tea", price_minor, ABSENT))
    columns = tables.columns(["tea"])
    here, elsewhere = ([tables.row(name) for name in names] for names in (("s1", EVERYWHERE), ("s2", EVERYWHERE)))
    assert [values.tolist() for values in tables.price_of(here, columns)] == [[199], [ABSENT]]
    assert [values.tolist() for values in tables.price_of(elsewhere, columns)] == [[199], [249]]
