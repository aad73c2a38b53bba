"""A crowd of customers who want the last pieces of one product, in several processes at the same moment."""

import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier

import numpy as np
from sqlalchemy import Connection, select, true

from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places import reservations
from app.stores.sql.places.reservations import Order, OutOfStock, ReservedLine, reserve
from app.stores.sql.places.stock import apply_stock

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
PIECES = {"330": 2, "331": 2, "332": 1}
"""Five pieces over three stores."""


def race(url: str, *, seed: int, customers: int, processes: int, is_guarded: bool = True) -> list[str]:
    """Each customer wants one piece, in the stores in an order of their own; the store that each got it from, or ""."""
    ledger = open_ledger(url)
    at = NOW + timedelta(seconds=seed)
    reports = [
        (store_id, "shoe", StockReport("erp", f"e-{seed}", at, None, quantity_milli=count * 1000))
        for store_id, count in PIECES.items()
    ]
    ledger.write(lambda connection: apply_stock(connection, reports, now=NOW))
    ledger.close()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    shares = [range(number, customers, processes) for number in range(processes)]
    with context.Pool(processes, initializer=_begin, initargs=(barrier,)) as pool:
        found = pool.starmap(_shop, [(url, seed, share, is_guarded) for share in shares], chunksize=1)
    return [store_id for of_process in found for store_id in of_process]


def reserved_and_refused(got: Sequence[str]) -> tuple[int, int]:
    """How many customers got a piece, and how many none."""
    return sum(bool(store_id) for store_id in got), sum(not store_id for store_id in got)


_barrier: Barrier | None = None


def _begin(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def _shop(url: str, seed: int, customers: Sequence[int], is_guarded: bool) -> list[str]:
    if not is_guarded:
        setattr(reservations, "has_left", lambda _: true())  # noqa: B010 - the guard taken out, in this process alone
    ledger = open_ledger(url)
    assert _barrier is not None
    # A connection of its own before the start, so that all begin with the claim.
    ledger.read(lambda connection: connection.execute(select(stock.c.changed)).all())
    _barrier.wait(timeout=60)
    got = [_piece_for(ledger, f"{seed}-{customer}", np.random.default_rng([seed, customer])) for customer in customers]
    ledger.close()
    return got


def _piece_for(ledger: Ledger, name: str, random: np.random.Generator) -> str:
    for store_id in random.permutation(list(PIECES)).tolist():
        with suppress(OutOfStock):
            ledger.write(partial(_reserve, name=name, store_id=store_id))
            return str(store_id)
    return ""


def _reserve(connection: Connection, *, name: str, store_id: str) -> None:
    reserve(connection, Order(name, "shop"), store_id, [ReservedLine("shoe", 1000)], now=NOW, ttl=timedelta(hours=1))
