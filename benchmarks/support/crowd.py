"""Customers who want the last pieces of a product at the same moment, and a process of theirs that is killed meanwhile.

Each has a thread in one of several processes, sends the order as the API takes it, and the one that was answered some
more times under its key.
"""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier
from time import sleep

import numpy as np
import orjson
from sqlalchemy import Connection, select, true

from app.errors import StoreUnavailable
from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.place_tables import stock, stock_reservations
from app.stores.sql.places import reservations
from app.stores.sql.places.reservations import (
    HELD,
    Order,
    OutOfStock,
    ReservedLine,
    expire_stock_reservations,
    reserve,
)
from app.stores.sql.places.stock import apply_stock
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, run_idempotent

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
PIECES = {"330": 2, "331": 2, "332": 1}
"""Five pieces over three stores."""
TTL, SHORT_TTL = timedelta(hours=1), timedelta(minutes=1)
REPEATS = 5
START_S = 60.0
LOOK_EVERY_S = 0.001
PIECE_MILLI = 1000
GUARD = "has_left"


@dataclass(frozen=True, slots=True)
class Crowd:
    """One process's customers: each wants a piece of the product, put aside for `ttl`."""

    url: str
    product_id: str
    customers: Sequence[int]
    seed: int
    ttl: timedelta = TTL
    is_guarded: bool = True


@dataclass(frozen=True, slots=True)
class RaceResult:
    """How many customers got a piece and how many none; `faults` in words."""

    served: int
    refused: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KillResult:
    """How many pieces the killed process had put aside, and how many it had yet to; `faults` in words."""

    reserved: int
    missing: int
    faults: tuple[str, ...]


def race(url: str, *, seed: int, customers: int, processes: int, is_guarded: bool = True) -> RaceResult:
    """So many customers at once for five pieces, in the stores in an order of their own; each seed once a database."""
    product_id = f"shoe-{seed}"
    shares = [range(number, customers, processes) for number in range(processes)]
    with closing(open_ledger(url)) as ledger:
        _put_stock(ledger, product_id, PIECES)
        running = _started([Crowd(url, product_id, share, seed, is_guarded=is_guarded) for share in shares])
        got = [store_id for one in running for store_id in one.answers()]
        served = Counter(store_id for store_id in got if store_id)
        faults = [*_differences("customers got", served, PIECES), *_torn(ledger, product_id, served)]
    return RaceResult(sum(served.values()), len(got) - sum(served.values()), tuple(faults))


def kill(url: str, *, seed: int, customers: int, processes: int, is_swept: bool) -> KillResult:
    """Pieces for everybody, and a process that dies while its customers take them, with `kill -9`.

    What it had put aside comes back when its time is over: by the sweep where `is_swept`, else by the next order.
    """
    product_id, share = f"boot-{seed}", range(0, customers, processes)
    pieces = dict.fromkeys(PIECES, customers)
    others = [range(number, customers, processes) for number in range(1, processes)]
    with closing(open_ledger(url)) as ledger:
        _put_stock(ledger, product_id, pieces)
        victim, *rest = _started(
            [
                Crowd(url, product_id, share, seed, ttl=SHORT_TTL),
                *(Crowd(url, product_id, other, seed) for other in others),
            ]
        )
        victim.kill_after(int(np.random.default_rng(seed).integers(1, max(2, len(share) // 2))))
        kept = Counter(store_id for one in rest for store_id in one.answers())
        lost = Counter(
            store_id for customer, store_id in _held(ledger, product_id).items() if customer in set(map(str, share))
        )
        faults = _torn(ledger, product_id, kept + lost)
        if expire_stock_reservations(ledger, now=NOW + SHORT_TTL - timedelta(seconds=1)):
            faults.append("a reservation ended before its time was over")
        if is_swept:
            expire_stock_reservations(ledger, now=NOW + SHORT_TTL)
        else:
            _take_the_rest(ledger, product_id, {name: pieces[name] - kept[name] for name in pieces})
            kept = Counter(pieces)
        faults += _differences("pieces are reserved", _reserved(ledger, product_id), kept)
    return KillResult(sum(lost.values()), len(share) - sum(lost.values()), tuple(faults))


@dataclass(frozen=True, slots=True)
class Running:
    """A process of customers, and how many of them have a piece. `barrier`: kept until the process has found it."""

    process: BaseProcess
    barrier: Barrier
    pipe: Pipe
    served: "Synchronized[int]"

    def answers(self) -> list[str]:
        """The store from which each customer got a piece, or ""; once all have tried."""
        found: list[str] = self.pipe.recv()
        self._end()
        return found

    def kill_after(self, count: int) -> None:
        """Kills it with -9 once so many customers have a piece."""
        while self.served.value < count and self.process.is_alive():
            sleep(LOOK_EVERY_S)
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self._end()

    def _end(self) -> None:
        self.process.join()
        self.process.close()
        self.pipe.close()


def _started(crowds: Sequence[Crowd]) -> list[Running]:
    """A process for each, which all begin at the same moment."""
    # Forked from a process that has no connection and has loaded everything.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(len(crowds))
    running = []
    for crowd in crowds:
        pipe, theirs = context.Pipe(duplex=False)
        served = context.Value("i", 0)
        process = context.Process(target=_shop, args=(crowd, barrier, theirs, served))
        process.start()
        # So that the end of the process is the end of the pipe.
        theirs.close()
        running.append(Running(process, barrier, pipe, served))
    return running


def _shop(crowd: Crowd, barrier: Barrier, pipe: Pipe, served: "Synchronized[int]") -> None:
    if not crowd.is_guarded:
        # The guard taken out, in this process alone.
        setattr(reservations, GUARD, lambda _: true())
    with closing(open_ledger(crowd.url)) as ledger:
        # A connection of its own before the start, so that all begin with the claim.
        ledger.read(lambda connection: connection.execute(select(stock.c.changed)).first())
        barrier.wait(timeout=START_S)
        with ThreadPoolExecutor(len(crowd.customers)) as customers:
            pipe.send(list(customers.map(partial(_piece_for, ledger, crowd, served), crowd.customers)))
    pipe.close()


def _piece_for(ledger: Ledger, crowd: Crowd, served: "Synchronized[int]", customer: int) -> str:
    """The store that has a piece for the customer, or ""."""
    random = np.random.default_rng([crowd.seed, customer])
    for store_id in random.permutation(list(PIECES)).tolist():
        with suppress(OutOfStock):
            answer = _order(ledger, crowd, customer, store_id)
            with served.get_lock():
                served.value += 1
            for _ in range(int(random.integers(REPEATS))):
                again = _order(ledger, crowd, customer, store_id)
                assert again.is_replay
                assert again.body == answer.body
            return str(store_id)
    return ""


def _order(ledger: Ledger, crowd: Crowd, customer: int, store_id: str) -> StoredResponse:
    order = Order(f"{crowd.product_id}/{customer}", "shop")
    request = IdempotentRequest("shop", f"{order.order_id}/{store_id}", f"{customer}", NOW)
    lines = [ReservedLine(crowd.product_id, PIECE_MILLI)]

    def work(connection: Connection) -> StoredResponse:
        document = reserve(connection, order, store_id, lines, now=NOW, ttl=crowd.ttl)
        return StoredResponse(201, orjson.dumps(document))

    while True:
        # Busy: the same request is safe to send again.
        with suppress(StoreUnavailable):
            return run_idempotent(ledger, request, work)


def _put_stock(ledger: Ledger, product_id: str, pieces: Mapping[str, int]) -> None:
    reports = [
        (store_id, product_id, StockReport("erp", f"e-{product_id}", NOW, sequence=None, quantity_milli=count * 1000))
        for store_id, count in pieces.items()
    ]
    ledger.write(lambda connection: apply_stock(connection, reports, now=NOW))


def _take_the_rest(ledger: Ledger, product_id: str, pieces: Mapping[str, int]) -> None:
    """An order for all that is left in each store, when the time of the killed process is over; nobody swept."""
    for store_id, count in pieces.items():
        lines = [ReservedLine(product_id, count * PIECE_MILLI)]
        take = partial(reserve, order=Order("rest", "shop"), store_id=store_id, lines=lines, ttl=TTL)
        ledger.write(partial(take, now=NOW + SHORT_TTL))


def _torn(ledger: Ledger, product_id: str, expected: Mapping[str, int]) -> list[str]:
    """Where stock and reservations say something else than what was expected, and than each other."""
    held = Counter(_held(ledger, product_id).values())
    reserved = _reserved(ledger, product_id)
    return _differences("reservations are held", held, expected) + _differences("pieces are reserved", reserved, held)


def _differences(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    return [
        f"{found.get(store_id, 0)} {what} in {store_id}, not {expected.get(store_id, 0)}"
        for store_id in PIECES
        if found.get(store_id, 0) != expected.get(store_id, 0)
    ]


def _reserved(ledger: Ledger, product_id: str) -> dict[str, int]:
    """Whole pieces that are put aside in each store."""
    query = select(stock.c.store_id, stock.c.reserved_milli).where(stock.c.product_id == product_id)
    rows = ledger.read(lambda connection: connection.execute(query).all())
    return {store_id: milli // PIECE_MILLI for store_id, milli in rows}


def _held(ledger: Ledger, product_id: str) -> dict[str, str]:
    """The store by customer, of the orders of one piece that are held."""
    table = stock_reservations.c
    query = select(table.order_id, table.store_id).where(table.status == HELD, table.order_id.like(f"{product_id}/%"))
    rows = ledger.read(lambda connection: connection.execute(query).all())
    return {order_id.removeprefix(f"{product_id}/"): store_id for order_id, store_id in rows}
