"""A world of many stores and products, as live tables, as a snapshot of them, or as rows of a database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np
import numpy.typing as npt
from sqlalchemy import insert, update

from app.domain import Ints
from app.places.stores import Fulfilment, OpeningHours, Position, Store, Way
from app.places.tables import ABSENT, HAS_PRICE, MILLI, LiveTables, StorePrice, Wide
from app.stores.sql.database.engine import Ledger, Transaction
from app.stores.sql.database.place_tables import place_changes, prices, stock
from app.stores.sql.places.stores import put_stores

OWN_PRICE_RATIO, REDUCED_RATIO = 0.05, 0.3
"""Of all products so many have a price of the store's own, and of those so many name the price before."""
NONE_RATIO, FEW_RATIO = 0.15, 0.25
ROWS_AT_ONCE = 20_000
OPEN_AT = time(8), time(20)
REPORTS = {"stated": [["erp", [1_764_500_000_000_000], 5_000]], "changes": []}
"""What a row of stock keeps of one report."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many stores there are, and how many products each of them keeps."""

    store_count: int
    product_count: int

    def store_ids(self) -> list[str]:
        """By number."""
        return [f"store-{number}" for number in range(self.store_count)]

    def product_ids(self) -> list[str]:
        """By number, of seven digits."""
        return [str(1_000_000 + number) for number in range(self.product_count)]


@dataclass(frozen=True, slots=True)
class OfStore:
    """What one store has: a level of each product, and the prices of its own with the price before, or ABSENT."""

    milli: Wide
    priced: Ints
    price_minor: Wide
    reference_minor: Wide


def levels_and_prices(size: Size, seed: int) -> Iterator[OfStore]:
    """Of each store, in the order of their numbers."""
    random = np.random.default_rng(seed)
    count = size.product_count
    for _ in range(size.store_count):
        draw = random.random(count)
        left = np.where(draw < FEW_RATIO, random.integers(1, 6, count), random.integers(6, 200, count))
        left[draw > 1 - NONE_RATIO] = 0
        priced = np.sort(random.choice(count, round(OWN_PRICE_RATIO * count), replace=False)).astype(np.int32)
        # Half of them up to 6.65, one of a thousand above 146.
        price = 1 + np.exp(random.normal(6.5, 1, len(priced))).astype(np.int64)
        reference = np.where(random.random(len(priced)) < REDUCED_RATIO, price * 5 // 4, ABSENT)
        yield OfStore(left * MILLI, priced, price, reference)


def tables_of(size: Size, *, seed: int = 0) -> LiveTables:
    """Live tables of the world."""
    tables = LiveTables(product_ids=size.product_ids())
    columns = np.arange(size.product_count, dtype=np.int32)
    for store_id, one in zip(size.store_ids(), levels_and_prices(size, seed), strict=True):
        tables.put_levels(store_id, columns, one.milli)
        row = tables.row(store_id)
        is_reduced: npt.NDArray[np.bool_] = one.reference_minor != ABSENT
        tables.prices[row].put_many(one.priced, one.price_minor)
        tables.references[row].put_many(one.priced[is_reduced], one.reference_minor[is_reduced])
        marks = (HAS_PRICE << ((one.priced & 1) << 2)).astype(np.uint8)
        np.bitwise_or.at(tables.cells[row], one.priced >> 1, marks)
    # Some more by the ordinary way, so that rows have changes next to their arrays.
    for store_id in size.store_ids():
        tables.put_price(StorePrice(store_id, size.product_ids()[0], 199, 249))
    return tables


def write_stores(ledger: Ledger, size: Size) -> None:
    """The stores, open on six days, each with three ways to its goods."""
    hours = OpeningHours([*[[OPEN_AT]] * 6, []])
    ways = {Way.IN_STORE: Fulfilment(), Way.PICKUP: Fulfilment(lead_minutes=60), Way.SHIP: Fulfilment()}
    found = [
        Store(name, position=Position(47 + number / 100, 8 + number / 100), hours=hours, ways=ways)
        for number, name in enumerate(size.store_ids())
    ]
    ledger.write(lambda connection: put_stores(connection, found, now=datetime.now(UTC)))


def write_rows(ledger: Ledger, size: Size, *, seed: int = 0) -> int:
    """Stock and prices as rows, numbered as changes; how many of stock."""
    number = 0
    for store_id, one in zip(size.store_ids(), levels_and_prices(size, seed), strict=True):
        rows = [
            {
                "store_id": store_id,
                "product_id": product_id,
                "quantity_milli": milli,
                "reports": REPORTS,
                "changed": number + place,
            }
            for place, (product_id, milli) in enumerate(zip(size.product_ids(), one.milli.tolist(), strict=True), 1)
        ]
        number += len(rows)
        price_rows = _price_rows(store_id, size, one)
        ledger.write(lambda connection, of=(rows, price_rows): _insert(connection, *of))  # type: ignore[misc]
    set_numbers(ledger, {"stock": number, "prices": number})
    return number


def set_numbers(ledger: Ledger, numbers: dict[str, int]) -> None:
    """As if so many changes of each kind had been made."""

    def work(connection: Transaction) -> None:
        for name, number in numbers.items():
            connection.execute(update(place_changes).where(place_changes.c.name == name).values(number=number))

    ledger.write(work)


def _price_rows(store_id: str, size: Size, one: OfStore) -> list[dict[str, object]]:
    product_ids, now = size.product_ids(), datetime.now(UTC)
    return [
        {
            "store_id": store_id,
            "product_id": product_ids[column],
            "price_minor": price,
            "currency": "EUR",
            "reference_minor": None if reference == ABSENT else reference,
            "since": now,
            "changed": place,
        }
        for place, (column, price, reference) in enumerate(
            zip(one.priced.tolist(), one.price_minor.tolist(), one.reference_minor.tolist(), strict=True), 1
        )
    ]


def _insert(connection: Transaction, rows: list[dict[str, object]], price_rows: list[dict[str, object]]) -> None:
    for table, of_table in ((stock, rows), (prices, price_rows)):
        for start in range(0, len(of_table), ROWS_AT_ONCE):
            connection.execute(insert(table), of_table[start : start + ROWS_AT_ONCE])
