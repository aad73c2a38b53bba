"""The stock of a store that has none: the same rows as from a file, in a fraction of the time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.changes import last_change
from app.stores.sql.places.first_stock import has_stock, put_first_stock
from app.stores.sql.places.overview import quantities_of_store
from app.stores.sql.places.reconciliation import StockFile, StockLine, reconcile_stock
from app.stores.sql.places.stock import apply_stock, changed_stock

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
FILE = StockFile(NOW, "nightly")
QUANTITIES = {"cake": 0, "milk": 12_000, "rice": 1_250, "tea": 12_000}


def lines_of(store_id: str) -> list[StockLine]:
    """What a file says of the store."""
    return [(store_id, product_id, milli) for product_id, milli in QUANTITIES.items()]


def rows_of(ledger: Ledger, store_id: str) -> list[tuple[Any, ...]]:
    """The store's rows without its id, and how far each number is from the store's first."""
    query = select(stock).where(stock.c.store_id == store_id).order_by(stock.c.product_id)
    rows = ledger.read(lambda connection: connection.execute(query).all())
    return [(*row[1:5], row.changed - rows[0].changed) for row in rows]


def test_first_stock_is_what_a_file_would_have_written(ledger: Ledger) -> None:
    reconcile_stock(ledger, lines_of("s1"), file=FILE, now=NOW)
    before = ledger.read(lambda connection: last_change(connection, "stock"))
    ledger.write(lambda connection: put_first_stock(connection, lines_of("s2"), file=FILE))
    assert rows_of(ledger, "s2") == rows_of(ledger, "s1")
    changes = ledger.read(lambda connection: changed_stock(connection, before, limit=100))
    assert [(one.store_id, one.product_id, one.available_milli) for one in changes] == lines_of("s2")


def test_changes_count_on_top_of_it(ledger: Ledger) -> None:
    ledger.write(lambda connection: put_first_stock(connection, lines_of("s1"), file=FILE))
    sale = StockReport("till", "1", NOW + timedelta(minutes=1), None, change_milli=-2_000)
    ledger.write(lambda connection: apply_stock(connection, [("s1", "milk", sale)], now=NOW + timedelta(minutes=1)))
    quantities = ledger.read(lambda connection: quantities_of_store(connection, "s1"))
    assert quantities == QUANTITIES | {"milk": 10_000}


def test_store_with_stock_is_known_and_not_written_over(ledger: Ledger) -> None:
    assert not ledger.read(lambda connection: has_stock(connection, "s1"))
    ledger.write(lambda connection: put_first_stock(connection, lines_of("s1")[:1], file=FILE))
    assert ledger.read(lambda connection: has_stock(connection, "s1"))
    assert not ledger.read(lambda connection: has_stock(connection, "s2"))
    with pytest.raises(IntegrityError):
        ledger.write(lambda connection: put_first_stock(connection, lines_of("s1"), file=FILE))
    assert ledger.read(lambda connection: quantities_of_store(connection, "s1")) == {"cake": 0}
