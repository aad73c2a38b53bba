"""The stock table: reports go in by batches, and whoever follows reads the changes of what is available."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.places.reports import Outcome, check_age
from app.places.stock import StockHistory, StockReport, available_milli
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.place_tables import stock
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.places.cells import Cell, is_in
from app.stores.sql.places.changes import lock_changes, next_change


class StockChange(NamedTuple):
    """What is available in one store as of change `number`; None: unknown."""

    store_id: str
    product_id: str
    available_milli: int | None
    number: int


@dataclass(frozen=True, slots=True)
class StockRow:
    """One row, or what stands for a row that is not there yet."""

    history: StockHistory = field(default_factory=StockHistory)
    quantity_milli: int | None = None
    reserved_milli: int = 0
    changed: int = 0

    def is_available_alike(self, quantity_milli: int | None) -> bool:
        """True where the other quantity would leave what can be promised as it is."""
        return available_milli(quantity_milli, reserved_milli=self.reserved_milli) == available_milli(
            self.quantity_milli, reserved_milli=self.reserved_milli
        )


NO_ROW = StockRow()
"""What is known of a cell without a row."""


def apply_stock(
    connection: Connection, reports: Sequence[tuple[str, str, StockReport]], *, now: datetime
) -> list[Outcome]:
    """What became of each report of a store and a product, in their order; three statements for each thousand.

    `too_late` ones are without effect. Only rows of which more or less is available get a change number.
    """
    lock_changes(connection, "stock")
    outcomes: list[Outcome] = []
    for piece in chunks(reports):
        outcomes += _apply(connection, piece, now=now)
    return outcomes


def _apply(connection: Connection, reports: Sequence[tuple[str, str, StockReport]], *, now: datetime) -> list[Outcome]:
    rows = read_rows(connection, {(store_id, product_id) for store_id, product_id, _ in reports})
    after: dict[Cell, StockHistory] = {}
    outcomes: list[Outcome] = []
    for store_id, product_id, report in reports:
        cell = store_id, product_id
        known = after.get(cell) or _row_of(rows, cell).history
        outcome = check_age(report.at, now=now)
        if outcome is None:
            after[cell], outcome = known.applied(report)
        outcomes.append(outcome)
    write_rows(connection, rows, after=after, now=now)
    return outcomes


def read_rows(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, StockRow]:
    """The rows of these cells, as far as they are there; who writes them next holds the lock of the changes."""
    table = stock.c
    columns = (table.reports, table.quantity_milli, table.reserved_milli, table.changed)
    query = select(table.store_id, table.product_id, *columns).where(is_in(connection, stock, cells))
    return {
        (store_id, product_id): StockRow(StockHistory.of_document(reports) if reports else StockHistory(), *rest)
        for store_id, product_id, reports, *rest in connection.execute(query)
    }


def write_rows(
    connection: Connection, rows: Mapping[Cell, StockRow], *, after: Mapping[Cell, StockHistory], now: datetime
) -> None:
    """Writes the histories that differ from those that were read; numbers for what is available, where that changed."""
    new = {cell: after[cell].settled(now) for cell in sorted(after) if after[cell] != _row_of(rows, cell).history}
    quantities = {cell: history.quantity_milli for cell, history in new.items()}
    changed = [cell for cell in new if not _row_of(rows, cell).is_available_alike(quantities[cell])]
    first = next_change(connection, "stock", count=len(changed)) if changed else 0
    numbers = {cell: number for number, cell in enumerate(changed, start=first)}
    values = [
        {
            "store_id": cell[0],
            "product_id": cell[1],
            "quantity_milli": quantities[cell],
            "reserved_milli": 0,
            "reports": history.document(),
            "changed": numbers.get(cell, _row_of(rows, cell).changed),
        }
        for cell, history in new.items()
    ]
    if values:
        statement = insert(connection, stock)
        # Not `reserved_milli`: it belongs to the reservations.
        fresh = {name: statement.excluded[name] for name in ("quantity_milli", "reports", "changed")}
        keys = ["store_id", "product_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh), values)


def _row_of(rows: Mapping[Cell, StockRow], cell: Cell) -> StockRow:
    return rows.get(cell, NO_ROW)


def changed_stock(connection: Connection, after: int, *, limit: int) -> Sequence[StockChange]:
    """Rows whose last change has a number above `after`, in the order of the numbers, at most `limit`."""
    table = stock.c
    query = select(table.store_id, table.product_id, table.quantity_milli, table.reserved_milli, table.changed)
    return [
        StockChange(store_id, product_id, available_milli(quantity_milli, reserved_milli=reserved_milli), number)
        for store_id, product_id, quantity_milli, reserved_milli, number in connection.execute(
            query.where(table.changed > after).order_by(table.changed).limit(limit)
        )
    ]
