"""Simulated places say that they are, are the same for the same seed, and sell out and are filled up as real ones."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from app.errors import InvalidRequest
from app.places.documents import store_document, store_of_document
from app.places.simulation.places import SimulatedPlaces, simulate, write_tables
from app.places.simulation.sales import StockChange
from app.places.simulation.turnover import CELLS_MAX, ONLINE, turnover_of
from app.places.store_rows import store_of_row
from app.places.stores import StoreKind, Way, distance_km

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
STORES, PRODUCTS, HEAD = 60, 400, 150


def till_lines(count: int = 30_000, *, stores: int = STORES, products: int = PRODUCTS) -> pl.DataFrame:
    """Lines of half a year: some stores and products sell far more than others, most of it in the afternoon."""
    rng = np.random.default_rng(5)
    hour = rng.choice([9, 12, 15, 17, 18, 20], count, p=[0.05, 0.15, 0.2, 0.3, 0.2, 0.1])
    seconds = rng.integers(0, 180, count) * 86_400 + (hour + 4) * 3600 + rng.integers(0, 3600, count)
    quantity = rng.choice([1.0, 2.0, 3.0], count, p=[0.8, 0.15, 0.05])
    product = (products * rng.random(count) ** 2).astype(int)
    return pl.DataFrame(
        {
            "store_id": [f"s{number}" for number in (stores * rng.random(count) ** 2).astype(int)],
            "product_id": [f"p{number}" for number in product],
            "timestamp": datetime(2026, 5, 1, tzinfo=UTC) + pl.Series(seconds).cast(pl.Int64) * timedelta(seconds=1),
            "quantity": quantity,
            "amount_minor": (quantity * (100 + product)).astype(int),
        }
    )


@pytest.fixture(scope="module")
def lines() -> pl.DataFrame:
    return till_lines()


@pytest.fixture(scope="module")
def places(lines: pl.DataFrame) -> SimulatedPlaces:
    return simulate(lines, seed=1, now=NOW, head_count=HEAD)


def until(end: datetime, changes: Iterator[StockChange]) -> list[StockChange]:
    return list(takewhile(lambda change: change.at < end, changes))


def quantities(places: SimulatedPlaces) -> dict[tuple[str, str], int]:
    return {(store, product): pieces for store, product, pieces, _ in places.stock_table().iter_rows()}


def share_sold_out(quantity: dict[tuple[str, str], int]) -> float:
    return sum(pieces == 0 for pieces in quantity.values()) / len(quantity)


def test_the_same_seed_makes_the_same_places_and_sales(lines: pl.DataFrame, places: SimulatedPlaces) -> None:
    again, other = (simulate(lines, seed=seed, now=NOW, head_count=HEAD) for seed in (1, 2))
    assert again.stores == places.stores
    assert again.stock_table().equals(places.stock_table())
    assert again.prices_table().equals(places.prices_table())
    first = [list(islice(one.changes(begins_at=NOW), 2000)) for one in (places, again, other)]
    assert first[0] == first[1]
    assert first[0] != first[2]
    assert not other.stock_table().equals(places.stock_table())
    assert not other.prices_table().equals(places.prices_table())


def test_reading_sales_leaves_the_stock_as_it_was(places: SimulatedPlaces) -> None:
    before = places.stock_table()
    first = list(islice(places.changes(begins_at=NOW), 1000))
    assert places.stock_table().equals(before)
    assert list(islice(places.changes(begins_at=NOW), 1000)) == first


def test_every_store_of_the_history_is_there_and_says_that_it_is_simulated(
    lines: pl.DataFrame, places: SimulatedPlaces
) -> None:
    assert [store.store_id for store in places.stores] == [*sorted(lines["store_id"].unique()), ONLINE]
    assert {store.name for store in places.stores} == {
        *(f"Simulated store s{number}" for number in range(STORES)),
        "Simulated online warehouse",
    }
    assert [store_of_document(store_document(store)) for store in places.stores] == list(places.stores)


def test_stores_lie_in_clusters_in_ohio(places: SimulatedPlaces) -> None:
    positions = [store.position for store in places.stores if store.position]
    assert len(positions) == STORES + 1
    assert all(38 < one.latitude < 41 and -85.5 < one.longitude < -80 for one in positions)
    nearest = [min(distance_km(one, two) for two in positions if two != one) for one in positions[:-1]]
    assert np.median(nearest) < 10


def test_stores_that_sell_more_serve_in_more_ways(places: SimulatedPlaces) -> None:
    *stores, online = places.stores
    assert Counter(way for store in stores for way in store.ways) == {
        Way.IN_STORE: STORES,
        Way.PICKUP: STORES // 3,
        Way.SHIP: 2,
        Way.DELIVER: 20,
    }
    assert (online.kind, list(online.ways)) == (StoreKind.WAREHOUSE, [Way.SHIP])
    assert (online.ways[Way.SHIP].lead_working_days, online.ways[Way.SHIP].cut_off) == (2, time(15))
    sold = dict(zip(places.turnover.store_ids, places.turnover.store_daily, strict=True))
    shipping = [sold[store.store_id] for store in stores if Way.SHIP in store.ways]
    assert sorted(shipping) == sorted(sold[store.store_id] for store in stores)[-2:]


@pytest.mark.parametrize(("now", "days"), [(NOW, {20, 21}), (NOW.replace(hour=23), {21}), (NOW.replace(hour=2), {20})])
def test_slots_are_those_that_can_be_ordered_today_and_tomorrow(
    lines: pl.DataFrame, now: datetime, days: set[int]
) -> None:
    stores = simulate(lines, seed=1, now=now, head_count=HEAD).stores
    slots = [slot for store in stores if Way.DELIVER in store.ways for slot in store.ways[Way.DELIVER].slots]
    assert {slot.starts_at.astimezone(NEW_YORK).day for slot in slots} == days
    assert all(now < slot.order_by_at < slot.starts_at < slot.ends_at for slot in slots)
    assert {slot.left == 0 for slot in slots} == {True, False}


def test_stores_close_for_christmas_alone(places: SimulatedPlaces) -> None:
    hours = [store.hours for store in places.stores if store.hours]
    assert len(hours) == STORES
    for one in hours:
        assert one.exceptions[date(2026, 12, 25)] == ()
        assert one.exceptions[date(2026, 11, 26)] == ((time(7), time(15)),)
        # The day on which the Saturday's holiday is observed, and one that is always a Monday.
        assert one.exceptions[date(2026, 7, 3)] == one.exceptions[date(2027, 5, 31)] == ((time(7), time(23)),)
        assert [day for day, openings in one.exceptions.items() if not openings] == [
            date(2026, 12, 25),
            date(2027, 12, 25),
        ]
    assert {one.weekly[6] for one in hours} == {((time(7), time(23)),), ((time(8), time(21)),)}


def test_a_store_lists_what_it_sold_and_what_sells_best(lines: pl.DataFrame, places: SimulatedPlaces) -> None:
    listed = set(quantities(places))
    assert set(lines.select("store_id", "product_id").unique().iter_rows()) <= listed
    total = lines.group_by("product_id").agg(pl.col("quantity").sum())
    head = total.sort("quantity", "product_id", descending=[True, False])["product_id"][:HEAD]
    assert {(f"s{number}", product) for number in range(STORES) for product in head} <= listed
    assert 0.8 < sum(store == ONLINE for store, _ in listed) / total.height < 1
    assert len(listed) < STORES * PRODUCTS


def test_a_product_that_a_store_no_longer_sells_is_not_listed() -> None:
    new = till_lines()
    old = new.head(1).with_columns(
        pl.lit("gone").alias("product_id"),
        pl.lit("closed").alias("store_id"),
        pl.col("timestamp") - timedelta(days=400),
    )
    places = simulate(pl.concat([new, old]), seed=1, now=NOW, head_count=HEAD)
    assert "gone" not in places.turnover.product_ids
    assert "closed" in places.turnover.store_ids


def test_lines_without_goods_do_not_count(lines: pl.DataFrame, places: SimulatedPlaces) -> None:
    first = lines.head(3)
    other = pl.concat(
        [
            first.with_columns(pl.lit("fuel").alias("product_id"), pl.lit(8000.0).alias("quantity")),
            first.with_columns(pl.lit("void").alias("product_id"), pl.lit(0.0).alias("quantity")),
            first.with_columns(pl.lit(None, pl.String).alias("store_id")),
        ]
    )
    found = simulate(pl.concat([lines, other]), seed=1, now=NOW, head_count=HEAD)
    assert found.stock_table().equals(places.stock_table())


def test_some_cells_are_sold_out_and_some_have_few_left(places: SimulatedPlaces) -> None:
    quantity = quantities(places)
    assert 0.03 < share_sold_out(quantity) < 0.08
    assert 0.1 < sum(1 <= pieces <= 5 for pieces in quantity.values()) / len(quantity) < 0.4
    assert all(pieces >= 0 for pieces in quantity.values())


def test_what_sells_more_has_more_in_stock(places: SimulatedPlaces) -> None:
    order = np.argsort(places.turnover.daily)
    tenth = len(order) // 10
    assert places.stock.level[order[-tenth:]].mean() > 2 * places.stock.level[order[:tenth]].mean()


def test_some_cells_have_a_price_of_their_own_some_percent_off(places: SimulatedPlaces) -> None:
    prices = places.prices_table()
    assert 0.04 < prices.height / len(places.turnover.store) < 0.06
    assert ONLINE not in set(prices["store_id"])
    assert set(prices["currency"]) == {"USD"}
    # The chain's price of product n is 100 + n cents.
    chain = 1 + prices["product_id"].cast(pl.String).str.slice(1).cast(pl.Float64) / 100
    off = (prices["price"] / chain - 1).abs()
    assert off.min() > 0.02  # type: ignore[operator]  # of numbers, not of dates
    assert off.max() < 0.16  # type: ignore[operator]  # of numbers, not of dates


def test_over_a_day_products_sell_out_and_come_back(places: SimulatedPlaces) -> None:
    quantity = quantities(places)
    sold_out, refilled = set(), set()
    changes = until(NOW + timedelta(days=1), places.changes(begins_at=NOW))
    for store_id, product_id, change, _ in changes:
        cell = store_id, product_id
        if change > 0 and quantity[cell] == 0:
            refilled.add(cell)
        quantity[cell] += change
        assert quantity[cell] >= 0
        if quantity[cell] == 0:
            sold_out.add(cell)
    assert len(sold_out) > 50
    assert len(refilled) > 50
    assert 0.03 < share_sold_out(quantity) < 0.08
    assert [change.at for change in changes] == sorted(change.at for change in changes)
    assert all(change.change and change.at >= NOW for change in changes)


def test_customers_buy_when_a_store_is_open_and_others_do(places: SimulatedPlaces) -> None:
    changes = until(NOW + timedelta(days=1), places.changes(begins_at=NOW))
    sales = [change for change in changes if change.change < 0]
    assert sum(pieces.change == -1 for pieces in sales) / len(sales) == pytest.approx(0.8, abs=0.05)
    hours = Counter(change.at.astimezone(NEW_YORK).hour for change in sales)
    assert set(hours) == {9, 12, 15, 17, 18, 20}
    assert hours[17] / len(sales) == pytest.approx(0.3, abs=0.03)


def test_only_the_warehouse_sells_while_stores_are_closed(places: SimulatedPlaces) -> None:
    begins_at = datetime(2026, 11, 26, 22, tzinfo=UTC)  # 17:00 on Thanksgiving, when all have closed at 15:00.
    changes = until(begins_at + timedelta(hours=1), places.changes(begins_at=begins_at))
    assert {change.store_id for change in changes if change.change < 0} == {ONLINE}
    before = places.changes(begins_at=begins_at - timedelta(days=1))
    assert len({change.store_id for change in until(begins_at - timedelta(hours=23), before)}) > STORES / 2


@pytest.mark.parametrize("sales_per_s", [0.3, 3.0])
def test_so_many_sales_come_in_a_second_as_were_chosen(places: SimulatedPlaces, sales_per_s: float) -> None:
    begins_at = datetime(2026, 11, 20, 22, tzinfo=UTC)
    changes = until(begins_at + timedelta(hours=1), places.changes(begins_at=begins_at, sales_per_s=sales_per_s))
    sales = sum(change.change < 0 for change in changes) / 3600
    # Three tenths of a day's sales are in this hour; some find nothing.
    assert sales == pytest.approx(sales_per_s * 0.3 * 24, rel=0.1)
    assert any(change.change > 0 for change in changes)


@pytest.mark.parametrize("sales_per_s", [0.0, -1.0, float("nan")])
def test_a_rate_at_which_nothing_is_sold_is_refused(places: SimulatedPlaces, sales_per_s: float) -> None:
    with pytest.raises(InvalidRequest, match="give a number above 0"):
        places.changes(begins_at=NOW, sales_per_s=sales_per_s)


def test_twentyfold_sales_sell_no_store_empty(places: SimulatedPlaces) -> None:
    quantity = quantities(places)
    rate = 20 * places.turnover.lines_per_day / 86_400
    for store_id, product_id, change, _ in until(
        NOW + timedelta(hours=6), places.changes(begins_at=NOW, sales_per_s=rate)
    ):
        quantity[store_id, product_id] += change
    assert 0.03 < share_sold_out(quantity) < 0.08


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_files_say_that_they_are_simulated_and_hold_what_the_places_do(
    places: SimulatedPlaces, tmp_path: Path, file_format: Literal["csv", "parquet"]
) -> None:
    files = write_tables(places, tmp_path / "out", file_format=file_format)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"simulated-{name}.{file_format}" for name in ("prices", "stock", "stores")
    ]
    read = pl.read_parquet if file_format == "parquet" else pl.read_csv
    stores = read(files.stores).cast(pl.String)
    assert [store_of_row(row) for row in stores.fill_null("").iter_rows(named=True)] == list(places.stores)
    stock = read(files.stock)
    assert stock.columns == ["store_id", "product_id", "quantity", "as_of"]
    assert stock["quantity"].to_list() == places.stock.level.tolist()
    as_of = stock["as_of"][0]
    assert (as_of if isinstance(as_of, datetime) else datetime.fromisoformat(as_of)) == NOW
    prices = read(files.prices)
    assert prices.columns == ["store_id", "product_id", "price", "currency"]
    assert prices["price"].to_list() == places.prices_table()["price"].to_list()


def test_cells_are_bounded_however_many_stores_there_are() -> None:
    turnover = turnover_of(till_lines(stores=1100, products=3500), np.random.default_rng(1), head_count=3500)
    assert 0.9 * CELLS_MAX < len(turnover.store) <= CELLS_MAX


def test_lines_without_any_store_are_refused(lines: pl.DataFrame) -> None:
    with pytest.raises(InvalidRequest, match="import transactions of stores before simulating them"):
        simulate(lines.with_columns(pl.lit(None, pl.String).alias("store_id")), seed=1, now=NOW)
