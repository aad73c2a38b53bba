"""Goods put aside in a store for one order, until they are collected, given back, or their time is over.

A reserved piece is available to nobody else. It is claimed by a conditional UPDATE: where too little is left no row
changes, the transaction ends, and nothing is half claimed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from app.domain import JsonObject
from app.errors import Conflict, Missing
from app.offers.terms.codes import new_id
from app.places.stock import StockReport
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import stock, stock_reservations
from app.stores.sql.places.cells import Cell
from app.stores.sql.places.changes import lock_changes, next_change
from app.stores.sql.places.stock import apply_stock

EXPIRE_COUNT = 500
SENDER = "endcap/reservations"
"""Who reports that collected goods left the store, among the senders of stock."""
HELD, COLLECTED, RELEASED, EXPIRED = "held", "collected", "released", "expired"


class StockReservationNotFound(Missing):
    """No reservation of goods has this id."""

    code = "stock_reservation_not_found"


class StockReservationOver(Conflict):
    """The goods were collected, given back, or their time is over."""

    code = "stock_reservation_over"


class StockReservationOfOther(Conflict):
    """The reservation was made by another client, or for another order."""

    code = "stock_reservation_of_other"


class OutOfStock(Conflict):
    """Less is left than is to be put aside."""

    code = "out_of_stock"


class ReservedLine(NamedTuple):
    """So much of a product, in thousandths of its unit of sale."""

    product_id: str
    quantity_milli: int


@dataclass(frozen=True, slots=True)
class Order:
    """Whose goods they are."""

    order_id: str
    client: str
    customer_id: str | None = None


def reserve(
    connection: Connection,
    order: Order,
    store_id: str,
    lines: Sequence[ReservedLine],
    *,
    now: datetime,
    ttl: timedelta,
) -> JsonObject:
    """Puts all of the lines aside, or raises OutOfStock and puts nothing aside. Of one product there is one line."""
    lock_changes(connection, "stock")
    # Before the claim, so that no sweep need ever have run: what is overdue is nobody's any more.
    _end_overdue(connection, store_id, [line.product_id for line in lines], now=now)
    for line in sorted(lines):
        _claim(connection, store_id, line)
    reservation_id = new_id("srv")
    row = {
        "reservation_id": reservation_id,
        "status": HELD,
        "store_id": store_id,
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "client": order.client,
        "lines": [list(line) for line in lines],
        "created_at": now,
        "expires_at": now + ttl,
    }
    connection.execute(insert(stock_reservations).values(row))
    return _document(row)


def has_left(quantity_milli: int) -> ColumnElement[bool]:
    """So much of the product is there and not put aside; NULL, an unknown quantity, is never enough."""
    return stock.c.quantity_milli - stock.c.reserved_milli >= quantity_milli


def _claim(connection: Connection, store_id: str, line: ReservedLine) -> None:
    statement = update(stock).where(_is_cell(store_id, line.product_id), has_left(line.quantity_milli))
    values = {
        "reserved_milli": stock.c.reserved_milli + line.quantity_milli,
        "changed": next_change(connection, "stock"),
    }
    if connection.execute(statement.values(values)).rowcount != 1:
        raise OutOfStock(
            f"store {store_id!r} has less than {line.quantity_milli / 1000:g} of product {line.product_id!r} left; "
            "take less, or another store of the proposition's options"
        )


def find_stock_reservation(connection: Connection, reservation_id: str, *, now: datetime) -> JsonObject:
    """The reservation as it stands; raises StockReservationNotFound."""
    row = _row_of(connection, reservation_id)
    # The sweep that ends reservations may be late.
    is_over = row["status"] == HELD and row["expires_at"] <= now
    return _document(row) | ({"status": EXPIRED} if is_over else {})


def release_stock(connection: Connection, reservation_id: str, client: str, *, now: datetime) -> JsonObject:
    """Gives the goods back, which is safe to repeat. Raises StockReservationNotFound, StockReservationOfOther, and
    StockReservationOver when they were collected."""
    return _end(connection, reservation_id, client, RELEASED, now=now)


def collect_stock(connection: Connection, reservation_id: str, client: str, *, now: datetime) -> JsonObject:
    """The customer has the goods: they leave the store's stock. Safe to repeat.

    Raises StockReservationNotFound, StockReservationOfOther, and StockReservationOver when they were given back.
    """
    return _end(connection, reservation_id, client, COLLECTED, now=now)


def expire_stock_reservations(ledger: Ledger, *, now: datetime) -> int:
    """Ends the reservations whose time is over, some of them in one transaction at a time; returns how many."""
    query = select(stock_reservations.c.reservation_id).where(_is_overdue(now)).limit(EXPIRE_COUNT)
    ended = 0
    while overdue := ledger.read(lambda connection: connection.execute(query).scalars().all()):
        ended += ledger.write(partial(_expire_in_turn, reservation_ids=overdue, now=now))
    return ended


def _expire_in_turn(connection: Connection, reservation_ids: Sequence[str], *, now: datetime) -> int:
    lock_changes(connection, "stock")
    return _expire(connection, reservation_ids, now=now)


def _expire(connection: Connection, reservation_ids: Sequence[str], *, now: datetime) -> int:
    """Ends those of them whose time is over and that nobody else has ended; returns how many."""
    table = stock_reservations
    over = update(table).where(table.c.reservation_id.in_(reservation_ids), _is_overdue(now)).values(status=EXPIRED)
    rows = connection.execute(over.returning(table.c.store_id, table.c.lines)).all()
    freed: Counter[Cell] = Counter()
    for store_id, lines in rows:
        freed.update({(store_id, product_id): milli for product_id, milli in lines})
    _free(connection, freed)
    return len(rows)


def _end_overdue(connection: Connection, store_id: str, product_ids: Iterable[str], *, now: datetime) -> None:
    table = stock_reservations
    query = select(table.c.reservation_id, table.c.lines).where(_is_overdue(now), table.c.store_id == store_id)
    wanted = set(product_ids)
    overdue = [found for found, lines in connection.execute(query) if wanted & {product_id for product_id, _ in lines}]
    for some in chunks(overdue):
        _expire(connection, some, now=now)


def _end(connection: Connection, reservation_id: str, client: str, status: str, *, now: datetime) -> JsonObject:
    lock_changes(connection, "stock")
    _expire(connection, [reservation_id], now=now)
    row = _row_of(connection, reservation_id)
    if row["client"] != client:
        raise StockReservationOfOther(f"reservation {reservation_id!r} was made by another client")
    if row["status"] == HELD:
        _close(connection, row, status, now=now)
        return _document(row) | {"status": status}
    if row["status"] == status or (status == RELEASED and row["status"] == EXPIRED):
        return _document(row)
    raise StockReservationOver(f"reservation {reservation_id!r} is {row['status']}; make a new one")


def _close(connection: Connection, row: RowMapping, status: str, *, now: datetime) -> None:
    """Ends a held reservation before its time is over; whoever calls has locked the changes of stock."""
    table = stock_reservations
    connection.execute(update(table).where(table.c.reservation_id == row["reservation_id"]).values(status=status))
    cells: dict[Cell, int] = {(row["store_id"], product_id): milli for product_id, milli in row["lines"]}
    _free(connection, cells)
    if status == COLLECTED:
        reports = [(*cell, _collected(row, cell[1], milli, now=now)) for cell, milli in cells.items()]
        apply_stock(connection, reports, now=now)


def _free(connection: Connection, reserved_milli: Mapping[Cell, int]) -> None:
    """So much of each product is no longer put aside."""
    for cell, milli in sorted(reserved_milli.items()):
        values = {
            "reserved_milli": stock.c.reserved_milli - milli,
            "changed": next_change(connection, "stock"),
        }
        connection.execute(update(stock).where(_is_cell(*cell)).values(values))


def _collected(row: RowMapping, product_id: str, quantity_milli: int, *, now: datetime) -> StockReport:
    event_id = f"{row['reservation_id']} {product_id}"
    return StockReport(SENDER, event_id, now, sequence=None, change_milli=-quantity_milli)


def _is_overdue(now: datetime) -> ColumnElement[bool]:
    return (stock_reservations.c.status == HELD) & (stock_reservations.c.expires_at <= now)


def _is_cell(store_id: str, product_id: str) -> ColumnElement[bool]:
    return (stock.c.store_id == store_id) & (stock.c.product_id == product_id)


def _row_of(connection: Connection, reservation_id: str) -> RowMapping:
    query = select(stock_reservations).where(stock_reservations.c.reservation_id == reservation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise StockReservationNotFound(f"no reservation of goods {reservation_id!r}")
    return row


def _document(row: "RowMapping | JsonObject") -> JsonObject:
    return {
        "reservation_id": row["reservation_id"],
        "status": row["status"],
        "store_id": row["store_id"],
        "order_id": row["order_id"],
        "customer_id": row["customer_id"],
        "lines": [{"product_id": product_id, "quantity": milli / 1000} for product_id, milli in row["lines"]],
        "created_at": row["created_at"].isoformat(),
        "expires_at": row["expires_at"].isoformat(),
    }
