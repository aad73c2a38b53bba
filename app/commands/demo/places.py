"""SIMULATED stores, stock and prices for the demo: none of it was ever true, and every line that shows it says so."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import polars as pl

from app.commands.terminal import Bar
from app.composition.history import history_of
from app.composition.stores import opened_ledger
from app.domain import PURCHASE
from app.history.rows import AMOUNT_MINOR, PRODUCT_ID, QUANTITY, STORE_ID, TIME, TYPE
from app.places.prices import PriceReport, ReferenceRules
from app.places.simulation.places import LABEL, SimulatedPlaces, simulate
from app.places.simulation.stores import CURRENCY
from app.settings import Settings
from app.stores.sql.database.engine import Ledger, Transaction
from app.stores.sql.places.first_stock import has_stock, put_first_stock
from app.stores.sql.places.overview import quantities_of_store
from app.stores.sql.places.prices import apply_prices
from app.stores.sql.places.reconciliation import StockFile, StockLine
from app.stores.sql.places.stores import put_stores

SEED = 1
HEAD_COUNT = 500
"""Each store lists so many of the products that sell best: with its own some 600,000 cells, written in 15 seconds."""
MILLI = 1_000
STAGE = "simulated stock and prices"

Reports = tuple[Sequence[StockLine], Sequence[tuple[str, str, PriceReport]]]
"""What is to be known of one store."""


def put_simulated_places(settings: Settings, *, now: datetime, progress: Bar) -> tuple[SimulatedPlaces, int]:
    """SIMULATED places for the history, and how many stores got their first stock and prices; others keep theirs.

    Stores are written each time, because their delivery slots are those of today and tomorrow.
    """
    columns = {"store_id": STORE_ID, "product_id": PRODUCT_ID, "timestamp": TIME}
    columns |= {"quantity": QUANTITY, "amount_minor": AMOUNT_MINOR}
    lines = history_of(settings).scan().filter(pl.col(TYPE) == PURCHASE).select(**columns)
    places = simulate(lines, seed=SEED, now=now, head_count=HEAD_COUNT)
    count = 0
    with opened_ledger(settings) as ledger:
        ledger.write(partial(put_stores, given=places.stores, now=now))
        for number, store in enumerate(places.stores):
            if not ledger.read(partial(has_stock, store_id=store.store_id)):
                # Both in one transaction: a store that has stock has its prices, also where a run broke off.
                ledger.write(partial(_put, reports=_reports(places, number), now=now))
                count += 1
                progress(STAGE, number + 1, len(places.stores))
    return places, count


def with_present_stock(places: SimulatedPlaces, ledger: Ledger) -> SimulatedPlaces:
    """The places with the stock that is there now, after what was sold, delivered and put in by others."""
    level = places.stock.level.copy()
    for number, store in enumerate(places.stores):
        cells, product_ids = _cells(places, number)
        there = ledger.read(partial(quantities_of_store, store_id=store.store_id))
        level[cells] = [max(0, there.get(product_id, 0)) // MILLI for product_id in product_ids]
    return replace(places, stock=replace(places.stock, level=level))


def _cells(places: SimulatedPlaces, number: int) -> tuple[slice, Sequence[str]]:
    """Which cells are those of one store, and their products."""
    begin, end = np.searchsorted(places.turnover.store, [number, number + 1]).tolist()
    cells = slice(begin, end)
    return cells, [places.turnover.product_ids[product] for product in places.turnover.product[cells].tolist()]


def _reports(places: SimulatedPlaces, number: int) -> Reports:
    store_id = places.stores[number].store_id
    cells, product_ids = _cells(places, number)
    pieces, price_minor = places.stock.level[cells].tolist(), places.price_minor[cells].tolist()
    prices = [
        (store_id, product_id, _price(places, f"{store_id} {product_id}", minor))
        for product_id, minor in zip(product_ids, price_minor, strict=True)
        if minor > 0
    ]
    lines = zip(product_ids, pieces, strict=True)
    return [(store_id, product_id, level * MILLI) for product_id, level in lines], prices


def _price(places: SimulatedPlaces, event_id: str, price_minor: int) -> PriceReport:
    return PriceReport(
        sender=LABEL, event_id=event_id, at=places.now, sequence=None, price_minor=price_minor, currency=CURRENCY
    )


def _put(connection: Transaction, *, reports: Reports, now: datetime) -> None:
    lines, prices = reports
    put_first_stock(connection, lines, file=StockFile(now, LABEL))
    if prices:
        apply_prices(connection, prices, rules=ReferenceRules(), now=now)
