"""Follows stores, stock and prices: the changes since a process last looked, or all there is where it knows nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
from sqlalchemy import Connection, select

from app.places.snapshot import Seen
from app.places.stores import Store
from app.places.tables import ABSENT, LiveTables, StockLevel, StorePrice
from app.stores.sql.database.place_tables import place_changes, prices, stock
from app.stores.sql.places.prices import changed_prices
from app.stores.sql.places.stock import StockChange, changed_stock
from app.stores.sql.places.stores import stored_stores

READ_COUNT = 5_000
"""Changes that are read at once: some 20 ms."""
ROWS_COUNT = 50_000
"""Rows that are in memory at once while all are read."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since `Seen`, in the order of the numbers; `stores` None where none did. `seen`: how far this goes.

    `is_all`: nothing was left behind.
    """

    seen: Seen
    stores: Mapping[str, Store] | None
    levels: Sequence[StockLevel]
    prices: Sequence[StorePrice]
    is_all: bool


class NumbersDiffer(Exception):
    """The database is another one than the one that was followed, or older: everything must be read again."""


def read_changes(connection: Connection, seen: Seen) -> Changes | None:
    """The next changes after `seen`, None where there are none. Raises NumbersDiffer."""
    last = last_seen(connection)
    if last == seen:
        return None
    if last.epoch != seen.epoch or last.stock < seen.stock or last.prices < seen.prices or last.stores < seen.stores:
        raise NumbersDiffer
    levels = changed_stock(connection, seen.stock, limit=READ_COUNT) if last.stock > seen.stock else []
    new_prices = changed_prices(connection, seen.prices, limit=READ_COUNT) if last.prices > seen.prices else []
    # The last number may be of a row that a later change has taken over, so short of the limit all is seen.
    stock_number = levels[-1].number if len(levels) == READ_COUNT else last.stock
    price_number = new_prices[-1].number if len(new_prices) == READ_COUNT else last.prices
    return Changes(
        Seen(last.epoch, stock_number, price_number, last.stores),
        stored_stores(connection) if last.stores != seen.stores else None,
        _levels(levels),
        [_price_of(one.store_id, one.product_id, one.price_minor, one.reference_minor) for one in new_prices],
        is_all=(stock_number, price_number) == (last.stock, last.prices),
    )


def last_seen(connection: Connection) -> Seen:
    """The epoch and the last numbers: one small read, that a process that follows makes many times a second."""
    rows = connection.execute(select(place_changes.c.name, place_changes.c.number))
    found = {row.name: row.number for row in rows}
    return Seen(found["epoch"], found["stock"], found["prices"], found["stores"])


def read_all(connection: Connection) -> tuple[LiveTables, Mapping[str, Store], Seen]:
    """Tables of all stock and prices, the stores, and how far that goes; some 2 s for a million rows of stock."""
    seen, tables = last_seen(connection), LiveTables()
    columns = (stock.c.store_id, stock.c.product_id, stock.c.quantity_milli, stock.c.reserved_milli)
    result = connection.execution_options(yield_per=ROWS_COUNT).execute(select(*columns).order_by(stock.c.store_id))
    for rows in result.partitions():
        for store_id, of_store in groupby(rows, key=itemgetter(0)):
            _, product_ids, quantities, reserved = zip(*of_store, strict=True)
            milli = np.array([0 if quantity is None else quantity for quantity in quantities], np.int64)
            tables.put_levels(store_id, tables.columns(product_ids), milli - np.array(reserved, np.int64))
    query = select(prices.c.store_id, prices.c.product_id, prices.c.price_minor, prices.c.reference_minor)
    result = connection.execution_options(yield_per=ROWS_COUNT).execute(query.order_by(prices.c.store_id))
    for rows in result.partitions():
        for row in rows:
            tables.put_price(_price_of(*row))
    return tables, stored_stores(connection), seen


def _levels(changes: Sequence[StockChange]) -> list[StockLevel]:
    return [StockLevel(one.store_id, one.product_id, one.available_milli) for one in changes]


def _price_of(store_id: str, product_id: str, price_minor: int | None, reference_minor: int | None) -> StorePrice:
    return StorePrice(
        store_id,
        product_id,
        ABSENT if price_minor is None else price_minor,
        ABSENT if reference_minor is None else reference_minor,
    )
