"""Places as one server process knows them now: stores, live stock and prices, and what a question may have of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple
from weakref import ref

import numpy as np

from app.domain import Ints, Mask, Option
from app.model.bundle import Bundle
from app.places.feasible import Feasible, Source, StoreMap, Wanted
from app.places.promises import FulfilmentPromise, promise_and_expiry
from app.places.stores import EVERYWHERE, Store, Way
from app.places.tables import ABSENT, LiveTables, StockLevel, StorePrice, Wide
from app.places.views import BundleView, Rows

NUMBERED_AT_ONCE = 2_000
"""Products of a new bundle for which changes wait at a time: 1 ms."""
KEEP_FOR = timedelta(seconds=60)
"""What is feasible is found again after so long at the latest."""
REACHED_COUNT = 1_000
"""Questions for which that is kept."""
STALE_AFTER_S = 1.0
"""Stock that was not compared with the database for longer is flagged."""


class Prices(NamedTuple):
    """What products cost here, and the reference price that a reduction may name; both ABSENT where there is none."""

    minor: Wide
    reference_minor: Wide


@dataclass(frozen=True, slots=True)
class _Reached:
    """What is feasible for a question, with the rows of its stores; None where one keeps no stock: all may be there.

    `price_rows`: whose price counts, the first that has one. It holds from `made_at` until `until_at`.
    """

    feasible: Feasible
    rows: Rows | None
    price_rows: tuple[int, ...]
    made_at: datetime
    until_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """What one question may have: `allowed` (n,), None = everything; the ways to get it, and what it costs."""

    tables: LiveTables
    view: BundleView
    reached: _Reached
    allowed: Mask | None
    staleness_s: float
    price_version: int

    @property
    def is_stale(self) -> bool:
        """True where changes that are older than a second may be missing."""
        return self.staleness_s > STALE_AFTER_S

    def prices(self, items: Ints) -> Prices | None:
        """What the items cost here where that is not what the product table says; None where it always is."""
        if not self.tables.has_prices:
            return None
        return Prices(*self.tables.price_of(self.reached.price_rows, self.view.column_of_item.take(items)))

    def options(self, items: Ints, price_minor: Wide) -> list[tuple[Option, ...]]:
        """Per item each way in which it can be had, from the first store in the order of preference that has it.

        `price_minor`: what the product table says, ABSENT where it says nothing.
        """
        columns = self.view.column_of_item.take(items)
        found: list[list[Option]] = [[] for _ in range(len(items))]
        for _, sources in self.reached.feasible:
            self._add_options(found, sources, columns, price_minor)
        return [tuple(options) for options in found]

    def soonest(self, items: Ints) -> list[datetime | None]:
        """Per item when it can be had at the earliest."""
        price = np.full(len(items), ABSENT, np.int64)
        return [min((one.available_from_at for one in options), default=None) for options in self.options(items, price)]

    def _add_options(
        self, found: list[list[Option]], sources: Sequence[Source], columns: Ints, price_minor: Wide
    ) -> None:
        rows = np.array([self.tables.row_of.get(source.store_id, ABSENT) for source in sources], np.intp)
        keeps = np.array([row >= 0 and self.tables.keeps_stock[row] for row in rows.tolist()])
        has = np.ones((len(rows), len(columns)), np.bool_)
        has[keeps] = self.tables.has(rows[keeps], columns)
        first = np.where(has.any(axis=0), has.argmax(axis=0), ABSENT)
        for number in np.unique(first[first >= 0]).tolist():
            source, row = sources[number], int(rows[number])
            places = (first == number).nonzero()[0]
            price, left = self._of_row(row, columns[places], price_minor[places], is_kept=bool(keeps[number]))
            for place, minor, milli in zip(places.tolist(), price.tolist(), left.tolist(), strict=True):
                found[place].append(
                    Option(
                        source.way.value,
                        source.store_id,
                        source.promise.available_from_at,
                        source.promise.available_until_at,
                        source.promise.slot_id,
                        minor if minor != ABSENT else None,
                        milli if milli != ABSENT else None,
                    )
                )

    def _of_row(self, row: int, columns: Ints, listed: Wide, *, is_kept: bool) -> tuple[Wide, Wide]:
        """Price and quantity left of these products in one store."""
        left = self.tables.few[row].of(columns) if is_kept else np.full(len(columns), ABSENT, np.int64)
        if not self.tables.has_prices:
            return listed, left
        price, _ = self.tables.price_of(_price_rows(self.tables, row), columns)
        return np.where(price == ABSENT, listed, price), left


@dataclass(slots=True)
class LivePlaces:
    """One process's knowledge. Changes take turns, in whatever thread; who reads needs none.

    `checked_s`: when it was last known to be equal to the database, by `clock` (seconds that also count while the
    process or the machine stands still); None before the first time.
    """

    clock: Callable[[], float]
    tables: LiveTables = field(default_factory=LiveTables)
    map: StoreMap = field(default_factory=lambda: StoreMap({}))
    checked_s: float | None = None
    stock_number: int = 0
    price_number: int = 0
    # Replaced as a whole and never changed, so that questions read it without the lock.
    _views: tuple[tuple[ref[Bundle], BundleView], ...] = ()
    _turn: AbstractContextManager[object] = field(default_factory=Lock)
    _reached: dict[Wanted, _Reached] = field(default_factory=dict)
    _promises: dict[tuple[str, Way], tuple[datetime, datetime, FulfilmentPromise | None]] = field(default_factory=dict)

    @property
    def staleness_s(self) -> float:
        """How long ago it was equal to the database."""
        return float("inf") if self.checked_s is None else max(0.0, self.clock() - self.checked_s)

    def prepare(self, bundle: Bundle) -> None:
        """Numbers a bundle that is about to go live; some 30 ms for 66,000 products."""
        ids, columns = bundle.catalogue.product_ids, []
        for start in range(0, len(ids), NUMBERED_AT_ONCE):
            with self._turn:
                columns.append(self.tables.columns(ids[start : start + NUMBERED_AT_ONCE]))
        view = BundleView(self.tables, np.concatenate([*columns, np.zeros(0, np.int32)]))
        others = [(known, other) for known, other in self._views if known() not in (None, bundle)]
        self._views = (*others, (ref(bundle), view))

    def replace_tables(self, tables: LiveTables) -> None:
        """Other tables in place of these."""
        self.tables = tables
        self._reached.clear()
        for bundle in [known() for known, _ in self._views]:
            if bundle is not None:
                self.prepare(bundle)

    def replace_stores(self, stores: Mapping[str, Store]) -> None:
        """Other stores in place of these."""
        self.map = StoreMap(stores)
        self._reached.clear()
        self._promises.clear()

    def change_stock(self, levels: Sequence[StockLevel]) -> None:
        """Takes over changed levels, in the order of their numbers."""
        with self._turn:
            is_first = any(not self._keeps(level.store_id) for level in levels)
            changed = [self.tables.put_stock(level) for level in levels]
            if is_first:
                self._reached.clear()
            for _, view in self._views:
                view.refresh({row for row, _ in changed}, [column for _, column in changed])

    def change_prices(self, prices: Sequence[StorePrice]) -> None:
        """Takes over changed prices, in the order of their numbers."""
        with self._turn:
            if any(price.store_id not in self.tables.row_of for price in prices):
                self._reached.clear()
            for price in prices:
                self.tables.put_price(price)

    def place(self, wanted: Wanted, bundle: Bundle, *, now: datetime) -> Place | None:
        """What a question may have; None where no store is known, or not the one it names: then nothing is restricted.

        A bundle that was not prepared gives None as well.
        """
        if not self.map.stores or not self._knows(wanted):
            return None
        view = next((view for known, view in self._views if known() is bundle), None)
        if view is None:
            return None
        reached = self._reach(wanted, now)
        return Place(
            self.tables, view, reached, _allowed(view, reached.rows, bundle), self.staleness_s, self.price_number
        )

    def available(self, wanted: Wanted, product_ids: Sequence[str], *, now: datetime) -> Sequence[str]:
        """Those of the products that the question may have, without any bundle."""
        if not self.map.stores or not self._knows(wanted):
            return product_ids
        rows = self._reach(wanted, now).rows
        if rows is None:
            return product_ids
        find, has = self.tables.column_of.get, self.tables.has
        kept = [(name, column) for name in product_ids if (column := find(name)) is not None]
        if not rows or not kept:
            return []
        columns = np.array([column for _, column in kept], np.int32)
        can = np.logical_or.reduce(has(np.array(rows, np.intp), columns))
        return [kept[place][0] for place in can.nonzero()[0].tolist()]

    def _keeps(self, store_id: str) -> bool:
        row = self.tables.row_of.get(store_id)
        return row is not None and self.tables.keeps_stock[row]

    def _knows(self, wanted: Wanted) -> bool:
        named = (wanted.store_id, wanted.pickup_store_id)
        return all(store_id is None or store_id in self.map.stores for store_id in named)

    def _reach(self, wanted: Wanted, now: datetime) -> _Reached:
        found = self._reached.get(wanted)
        if found is None or not found.made_at <= now < found.until_at:
            if len(self._reached) >= REACHED_COUNT:
                self._reached.clear()
            found = self._reached[wanted] = self._make_reach(wanted, now)
        return found

    def _make_reach(self, wanted: Wanted, now: datetime) -> _Reached:
        until_at = now + KEEP_FOR

        def promise_of(store: Store, way: Way) -> FulfilmentPromise | None:
            nonlocal until_at
            made, expires_at = self._promise(store, way, now)
            until_at = min(until_at, expires_at)
            return made

        found = [(way, self._usable(sources)) for way, sources in self.map.feasible(wanted, promise_of)]
        sources = [source for _, of_way in found for source in of_way]
        keeps = [self._keeps(source.store_id) for source in sources]
        rows = tuple(sorted({self.tables.row_of[source.store_id] for source in sources})) if all(keeps) else None
        named = wanted.store_id or wanted.pickup_store_id or (sources[0].store_id if sources else EVERYWHERE)
        price_rows = tuple(row for name in (named, EVERYWHERE) if (row := self.tables.row_of.get(name)) is not None)
        return _Reached(found, rows, price_rows, now, until_at)

    def _usable(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Without those behind the first that keep no stock: nobody is sent further for what may not be there."""
        return [one for number, one in enumerate(sources) if number == 0 or self._keeps(one.store_id)]

    def _promise(self, store: Store, way: Way, now: datetime) -> tuple[FulfilmentPromise | None, datetime]:
        """The promise at `now`, which is good until an instant."""
        key = store.store_id, way
        known = self._promises.get(key)
        if known is None or not known[0] <= now < known[1]:
            made, expires_at = promise_and_expiry(store, way, now=now)
            known = self._promises[key] = now, expires_at, made
        return known[2], known[1]


def _allowed(view: BundleView, rows: Rows | None, bundle: Bundle) -> Mask | None:
    if rows is None:
        return None
    return view.available(rows) if rows else np.zeros(bundle.item_count, np.bool_)


def _price_rows(tables: LiveTables, row: int) -> Sequence[int]:
    everywhere = tables.row_of.get(EVERYWHERE)
    return (row,) if everywhere is None else (row, everywhere)
