"""The stock of a store of which nothing was ever reported: written at once, some 60,000 cells a second."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, insert, select

from app.domain import JsonObject
from app.places.stock import StockHistory, StockReport
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.changes import lock_changes, next_change
from app.stores.sql.places.reconciliation import StockFile, StockLine


def has_stock(connection: Connection, store_id: str) -> bool:
    """True where anything was ever reported of the store's stock."""
    query = select(stock.c.changed).where(stock.c.store_id == store_id).limit(1)
    return connection.execute(query).first() is not None


def put_first_stock(connection: Connection, lines: Sequence[StockLine], *, file: StockFile) -> None:
    """Writes the quantities as `reconcile_stock` does; for stores without any stock only."""

    @cache
    def reports_of(quantity_milli: int) -> JsonObject:
        report = StockReport(file.sender, file.sender, file.at, sequence=None, quantity_milli=quantity_milli)
        return StockHistory().applied(report)[0].document()

    lock_changes(connection, "stock")
    first = next_change(connection, "stock", count=len(lines))
    rows = [
        {
            "store_id": store_id,
            "product_id": product_id,
            "quantity_milli": quantity_milli,
            "reserved_milli": 0,
            "reports": reports_of(quantity_milli),
            "changed": number,
        }
        for number, (store_id, product_id, quantity_milli) in enumerate(lines, start=first)
    ]
    connection.execute(insert(stock), rows)
