"""Goods put aside: never more than there is, whoever comes at the same time, and back when their time is over."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection

from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.reservations import (
    EXPIRE_COUNT,
    Order,
    OutOfStock,
    ReservedLine,
    StockReservationOfOther,
    StockReservationOver,
    collect_stock,
    expire_stock_reservations,
    find_stock_reservation,
    release_stock,
    reserve,
)
from app.stores.sql.places.stock import apply_stock, changed_stock
from benchmarks.support.crowd import RaceResult, kill, race

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
TTL = timedelta(minutes=30)
ORDER = Order("order-1", "shop", "900")


def stocked(ledger: Ledger, **pieces: int) -> None:
    """So many pieces of each product in store 330."""
    reports = [
        ("330", product_id, StockReport("erp", f"e-{product_id}", NOW, None, quantity_milli=count * 1000))
        for product_id, count in pieces.items()
    ]
    ledger.write(lambda connection: apply_stock(connection, reports, now=NOW))


def put_aside(ledger: Ledger, *, now: datetime = NOW, **pieces: int) -> str:
    lines = [ReservedLine(product_id, count * 1000) for product_id, count in pieces.items()]
    found = ledger.write(lambda connection: reserve(connection, ORDER, "330", lines, now=now, ttl=TTL))
    return str(found["reservation_id"])


def available(ledger: Ledger) -> dict[str, int | None]:
    """Pieces that can be had, as a process that follows the changes sees them."""
    changes = ledger.read(lambda connection: changed_stock(connection, 0, limit=100))
    return {one.product_id: None if one.available_milli is None else one.available_milli // 1000 for one in changes}


def test_reserved_pieces_are_available_to_nobody_else(ledger: Ledger) -> None:
    stocked(ledger, shoe=2, sock=5)
    put_aside(ledger, shoe=1, sock=2)
    assert available(ledger) == {"shoe": 1, "sock": 3}
    with pytest.raises(OutOfStock, match="less than 2 of product 'shoe'"):
        put_aside(ledger, sock=1, shoe=2)
    # Nothing of the refused order was put aside.
    assert available(ledger) == {"shoe": 1, "sock": 3}


def test_what_nobody_knows_the_quantity_of_is_not_put_aside(ledger: Ledger) -> None:
    with pytest.raises(OutOfStock):
        put_aside(ledger, shoe=1)


def test_giving_back_twice_gives_back_once(ledger: Ledger) -> None:
    stocked(ledger, shoe=2)
    reservation_id = put_aside(ledger, shoe=2)
    for _ in range(2):
        found = ledger.write(lambda connection: release_stock(connection, reservation_id, "shop", now=NOW))
        assert found["status"] == "released"
        assert available(ledger) == {"shoe": 2}
    with pytest.raises(StockReservationOver):
        ledger.write(lambda connection: collect_stock(connection, reservation_id, "shop", now=NOW))


def test_collected_goods_leave_the_stock_and_later_reports_count_on_that(ledger: Ledger) -> None:
    stocked(ledger, shoe=5)
    reservation_id = put_aside(ledger, shoe=2)
    for _ in range(2):
        found = ledger.write(lambda connection: collect_stock(connection, reservation_id, "shop", now=NOW + TTL / 2))
        assert found["status"] == "collected"
    assert available(ledger) == {"shoe": 3}
    sold = StockReport("till", "t-1", NOW + TTL, None, change_milli=-1000)
    ledger.write(lambda connection: apply_stock(connection, [("330", "shoe", sold)], now=NOW + TTL))
    assert available(ledger) == {"shoe": 2}
    counted = StockReport("erp", "e-2", NOW + 2 * TTL, None, quantity_milli=7000)
    ledger.write(lambda connection: apply_stock(connection, [("330", "shoe", counted)], now=NOW + 2 * TTL))
    assert available(ledger) == {"shoe": 7}


def test_what_is_overdue_comes_back_by_a_sweep_and_by_the_next_customer(ledger: Ledger) -> None:
    stocked(ledger, shoe=1)
    first = put_aside(ledger, shoe=1)
    with pytest.raises(OutOfStock):
        put_aside(ledger, shoe=1, now=NOW + TTL - timedelta(seconds=1))
    # Nobody swept: the one who comes after the end gets it all the same.
    second = put_aside(ledger, shoe=1, now=NOW + TTL)
    assert ledger.read(lambda connection: find_stock_reservation(connection, first, now=NOW))["status"] == "expired"
    assert expire_stock_reservations(ledger, now=NOW + TTL) == 0
    assert expire_stock_reservations(ledger, now=NOW + 2 * TTL) == 1
    assert available(ledger) == {"shoe": 1}
    with pytest.raises(StockReservationOver):
        ledger.write(lambda connection: collect_stock(connection, second, "shop", now=NOW + 2 * TTL))


@pytest.mark.parametrize("product_id", ["sock", "shoe"])
def test_what_is_overdue_comes_back_however_much_of_it_there_is(ledger: Ledger, product_id: str) -> None:
    count = EXPIRE_COUNT + 1
    stocked(ledger, sock=count, shoe=1)

    def work(connection: Connection) -> None:
        for name in ["sock"] * count + ["shoe"]:
            reserve(connection, ORDER, "330", [ReservedLine(name, 1000)], now=NOW, ttl=TTL)

    ledger.write(work)
    assert available(ledger) == {"sock": 0, "shoe": 0}
    wanted = {"sock": count, "shoe": 1}[product_id]
    put_aside(ledger, now=NOW + TTL, **{product_id: wanted})
    # The sweep need not be called as often as there are pages of it.
    assert expire_stock_reservations(ledger, now=NOW + TTL) == count + 1 - wanted
    assert available(ledger) == {"sock": count, "shoe": 1} | {product_id: 0}


def test_an_overdue_reservation_is_not_collected(ledger: Ledger) -> None:
    stocked(ledger, shoe=1)
    reservation_id = put_aside(ledger, shoe=1)
    with pytest.raises(StockReservationOver, match="is expired"):
        ledger.write(lambda connection: collect_stock(connection, reservation_id, "shop", now=NOW + TTL))


def test_another_client_neither_collects_nor_gives_back(ledger: Ledger) -> None:
    stocked(ledger, shoe=1)
    reservation_id = put_aside(ledger, shoe=1)
    for end in (collect_stock, release_stock):
        with pytest.raises(StockReservationOfOther):
            ledger.write(partial(end, reservation_id=reservation_id, client="other", now=NOW))


def test_a_crowd_gets_exactly_what_there_is(ledger_url: str) -> None:
    # benchmarks.places.reservations does the same with many more.
    assert race(ledger_url, seed=0, customers=60, processes=3) == RaceResult(served=5, refused=55, faults=())


def test_control_a_crowd_without_the_guard_gets_more_and_is_noticed(ledger_url: str) -> None:
    result = race(ledger_url, seed=0, customers=20, processes=2, is_guarded=False)
    assert result.served > 5
    assert any("pieces are reserved" in fault or "customers got" in fault for fault in result.faults)


@pytest.mark.parametrize("is_swept", [True, False])
def test_goods_of_a_process_that_is_killed_come_back_when_their_time_is_over(ledger_url: str, is_swept: bool) -> None:
    result = kill(ledger_url, seed=1, customers=40, processes=2, is_swept=is_swept)
    assert result.faults == ()
    assert result.reserved > 0
