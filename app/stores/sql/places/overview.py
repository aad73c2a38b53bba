"""Stock by product and by store, and prices: what people and order systems read, straight from the truth."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.places.stock import available_milli
from app.stores.sql.database.place_tables import prices, stock, stores


class StockInStore(NamedTuple):
    """In thousandths of the unit of sale, None unknown."""

    store_id: str
    quantity_milli: int | None
    reserved_milli: int
    available_milli: int | None


def stock_of_product(connection: Connection, product_id: str) -> Sequence[StockInStore]:
    """Every store on the map that reported the product, by id."""
    columns = (stock.c.store_id, stock.c.quantity_milli, stock.c.reserved_milli)
    # Store by store, because rows are found by store and product.
    is_known = stock.c.store_id.in_(select(stores.c.store_id))
    query = select(*columns).where(is_known, stock.c.product_id == product_id).order_by(stock.c.store_id)
    return [
        StockInStore(store_id, quantity, reserved, available_milli(quantity, reserved_milli=reserved))
        for store_id, quantity, reserved in connection.execute(query)
    ]


def quantities_of_store(connection: Connection, store_id: str) -> Mapping[str, int]:
    """Of each product that the store reported the thousandths that are there; not those whose quantity is unknown."""
    columns = (stock.c.product_id, stock.c.quantity_milli)
    is_known = (stock.c.store_id == store_id) & stock.c.quantity_milli.is_not(None)
    rows = connection.execute(select(*columns).where(is_known))
    return {row.product_id: row.quantity_milli for row in rows}


def reference_of(connection: Connection, store_id: str, product_id: str) -> tuple[int, str] | None:
    """What a reduction to the present price may name, in minor units of a currency; None where it may name nothing."""
    is_cell = (prices.c.store_id == store_id) & (prices.c.product_id == product_id)
    row = connection.execute(select(prices.c.reference_minor, prices.c.currency).where(is_cell)).one_or_none()
    return None if row is None or row.reference_minor is None else (row.reference_minor, row.currency)
