"""Places as one server process knows them now: stores, live stock and prices, and what a question may have of them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from threading import Lock
from typing import NamedTuple
from weakref import ref

import numpy as np
import numpy.typing as npt

from app.domain import Ints, Mask, Option, Source
from app.model.bundle import Bundle
from app.places.feasible import SENT, StoreMap, Wanted
from app.places.promises import promise_and_expiry
from app.places.stores import EVERYWHERE, Store, Way
from app.places.tables import ABSENT, HAS_PRICE, LEVEL, MANY, LiveTables, StockLevel, StorePrice, Wide
from app.places.views import BundleView, Rows

NUMBERED_AT_ONCE = 2_000
"""Products of a new bundle for which changes wait at a time: 1 ms."""
PICKUP_ONLY, YES = "pickup_only", ("yes", "true", "1")
"""The column of the product table, and what it holds, for products that are sold with pickup alone: residual stock."""
KEEP_FOR = timedelta(minutes=10)
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
    """What is feasible for a question, from `made_at` until `until_at`.

    `sources` in the order of preference, with their rows in the tables; those of one way run from the first number in
    `ways` to the second, and the third says whether they are sent. `is_unkept`: the numbers of those that keep none.
    `rows`: all of them, ascending, None where one keeps no stock, so that all may be there (with no source at all: one
    of any). `pickup_rows`: the same of those that do not send. `price_rows`: whose price counts, the first that has
    one. `currency`: of the store whose prices count, None where it is the product table's; `paid_otherwise`: stores of
    the sources that take another one, `priced_otherwise`: rows of which it is the same for their own prices.
    """

    sources: Sequence[Source]
    source_rows: npt.NDArray[np.intp]
    row_numbers: Sequence[int]
    is_unkept: npt.NDArray[np.intp]
    ways: Sequence[tuple[int, int, bool]]
    rows: Rows | None
    pickup_rows: Rows | None
    price_rows: tuple[int, ...]
    currency: str | None
    paid_otherwise: frozenset[str]
    priced_otherwise: frozenset[int]
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

    @property
    def currency(self) -> str | None:
        """Of all prices here where that is not the product table's."""
        return self.reached.currency

    @property
    def has_options(self) -> bool:
        """False where any store will do, and one of them keeps no stock: nobody knows who has what."""
        return bool(self.reached.sources) or self.reached.rows is not None

    def prices(self, items: Ints) -> Prices | None:
        """What the items cost here where that is not what the product table says; None where it always is."""
        if not self.tables.has_prices:
            return None
        return Prices(*self.tables.price_of(self.reached.price_rows, self.view.column_of_item.take(items)))

    def options(self, items: Ints, price_minor: Wide) -> list[tuple[Option, ...]]:
        """Per item each way in which it can be had, from the first store in the order of preference that has it.

        `price_minor`: what the product table says, ABSENT where it says nothing. Some 40 µs for 20 items.
        """
        reached, tables = self.reached, self.tables
        columns = self.view.column_of_item.take(items)
        codes = tables.codes(reached.source_rows[:, None], columns)
        if len(reached.is_unkept):
            codes[reached.is_unkept] |= MANY
        if reached.currency is not None:
            price_minor = np.full(len(items), ABSENT, np.int64)
        everywhere = tables.row_of.get(EVERYWHERE)
        if everywhere in reached.price_rows:
            of_all, _ = tables.price_of([everywhere], columns)
            price_minor = np.where(of_all == ABSENT, price_minor, of_all)
        # Twenty products from some fifty stores: plain loops over bytes take a third of the time of arrays.
        by_item, count, sources, found = codes.T.tobytes(), len(codes), reached.sources, []
        not_sent = None if self.view.pickup_only is None else self.view.pickup_only.take(items)
        known = [minor if minor != ABSENT else None for minor in price_minor.tolist()]
        for place, (column, listed) in enumerate(zip(columns.tolist(), known, strict=True)):
            options: list[Option] = []
            of_item = by_item[place * count : (place + 1) * count]
            for start, end, is_sent in reached.ways:
                if is_sent and not_sent is not None and not_sent[place]:
                    continue
                for number in range(start, end):
                    code = of_item[number]
                    if code == MANY:
                        options.append((sources[number], listed, None))
                        break
                    if code & LEVEL:
                        options.append(self._option(number, column, code, listed))
                        break
            found.append(tuple(options))
        if reached.paid_otherwise:
            return [tuple(map(self._without_other_money, options)) for options in found]
        return found

    def _without_other_money(self, option: Option) -> Option:
        source, price_minor, left_milli = option
        return source, None if source.store_id in self.reached.paid_otherwise else price_minor, left_milli

    def _option(self, number: int, column: int, code: int, listed: int | None) -> Option:
        """What the source with this number has, by its four bits."""
        row = self.reached.row_numbers[number]
        is_own = code & HAS_PRICE and row not in self.reached.priced_otherwise
        own = self.tables.prices[row].get(column) if is_own else ABSENT
        return self.reached.sources[number], listed if own == ABSENT else own, self.tables.left_milli(row, column, code)

    def soonest_s(self, items: Ints) -> npt.NDArray[np.float64]:
        """Per item when it can be had at the earliest, in unix seconds; inf where it cannot."""
        options = self.options(items, np.full(len(items), ABSENT, np.int64))
        instants = ([source.available_from_at.timestamp() for source, _, _ in of_item] for of_item in options)
        return np.array([min(of_item, default=inf) for of_item in instants])


@dataclass(slots=True)
class LivePlaces:
    """One process's knowledge. Changes take turns, in whatever thread; who reads needs none but for a mask.

    `currency`: ENDCAP_CURRENCY. `checked_s`: when it was last known to be equal to the database, by `clock` (seconds
    that also count while the process or the machine stands still); None before the first time.
    """

    clock: Callable[[], float]
    currency: str
    tables: LiveTables = field(default_factory=LiveTables)
    map: StoreMap = field(default_factory=lambda: StoreMap({}))
    checked_s: float | None = None
    stock_number: int = 0
    price_number: int = 0
    # Replaced as a whole and never changed, so that questions read it without the lock.
    _views: tuple[tuple[ref[Bundle], BundleView], ...] = ()
    _turn: AbstractContextManager[object] = field(default_factory=Lock)
    _reached: dict[tuple[Wanted, str], _Reached] = field(default_factory=dict)
    _sources: dict[tuple[str, Way], tuple[datetime, datetime, Source | None]] = field(default_factory=dict)

    @property
    def staleness_s(self) -> float:
        """How long ago it was equal to the database."""
        return float("inf") if self.checked_s is None else max(0.0, self.clock() - self.checked_s)

    @property
    def is_stale(self) -> bool:
        """True where stores are known, and changes that are older than a second may be missing."""
        return bool(self.map.stores) and self.staleness_s > STALE_AFTER_S

    def prepare(self, bundle: Bundle) -> None:
        """Numbers a bundle that is about to go live; some 30 ms for 66,000 products."""
        while not self._prepared(bundle, self.tables):
            pass

    def replace_tables(self, tables: LiveTables) -> None:
        """Other tables in place of these."""
        with self._turn:
            self.tables = tables
        self._number_stores()
        for bundle in [known() for known, _ in self._views]:
            if bundle is not None:
                self.prepare(bundle)

    def replace_stores(self, stores: Mapping[str, Store]) -> None:
        """Other stores in place of these."""
        self.map = StoreMap(stores)
        self._number_stores()
        self._sources.clear()

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
        view = self._view(bundle)
        if view is None:
            return None
        reached = self._reach(wanted, now, bundle.catalogue.currency or self.currency)
        # In turn: a mask that another thread makes while stock changes would lack the change for good.
        with self._turn:
            allowed = view.allowed(reached.rows, reached.pickup_rows)
        return Place(self.tables, view, reached, allowed, self.staleness_s, self.price_number)

    def available(self, wanted: Wanted, product_ids: Sequence[str], *, now: datetime) -> Sequence[str]:
        """Those of the products that the question may have, without any bundle, which alone knows what is not sent."""
        if not self.map.stores or not self._knows(wanted):
            return product_ids
        rows = self._reach(wanted, now, self.currency).rows
        if rows is None:
            return product_ids
        find = self.tables.column_of.get
        kept = [(name, column) for name in product_ids if (column := find(name)) is not None]
        if not rows or not kept:
            return []
        columns = np.array([column for _, column in kept], np.int32)
        can = (self.tables.codes(np.array(rows, np.intp)[:, None], columns) & LEVEL != 0).any(axis=0)
        return [kept[place][0] for place in can.nonzero()[0].tolist()]

    def _prepared(self, bundle: Bundle, tables: LiveTables) -> bool:
        """Numbers the bundle by these tables; False where others took their place meanwhile."""
        ids, columns = bundle.catalogue.product_ids, []
        for start in range(0, len(ids), NUMBERED_AT_ONCE):
            with self._turn:
                columns.append(tables.columns(ids[start : start + NUMBERED_AT_ONCE]))
        view = BundleView(tables, np.concatenate([*columns, np.zeros(0, np.int32)]), _pickup_only(bundle))
        with self._turn:
            if tables is not self.tables:
                return False
            # By identity: a version that is loaded again is another bundle, and arrays cannot be compared as a whole.
            others = [one for one in self._views if (known := one[0]()) is not None and known is not bundle]
            self._views = (*others, (ref(bundle), view))
        return True

    def _view(self, bundle: Bundle) -> BundleView | None:
        for known, view in self._views:
            if known() is bundle:
                return view
        return None

    def _number_stores(self) -> None:
        with self._turn:
            for store_id in self.map.stores:
                self.tables.row(store_id)
        self._reached.clear()

    def _keeps(self, store_id: str) -> bool:
        row = self.tables.row_of.get(store_id)
        return row is not None and self.tables.keeps_stock[row]

    def _knows(self, wanted: Wanted) -> bool:
        own, chosen, stores = wanted.store_id, wanted.pickup_store_id, self.map.stores
        return (own is None or own in stores) and (chosen is None or chosen in stores)

    def _reach(self, wanted: Wanted, now: datetime, listed_currency: str) -> _Reached:
        """What is feasible for the question, by a product table in this currency."""
        found = self._reached.get((wanted, listed_currency))
        if found is None or not found.made_at <= now < found.until_at:
            if len(self._reached) >= REACHED_COUNT:
                self._reached.clear()
            found = self._reached[wanted, listed_currency] = self._make_reach(wanted, now, listed_currency)
        return found

    def _make_reach(self, wanted: Wanted, now: datetime, listed_currency: str) -> _Reached:
        until_at = now + KEEP_FOR

        def source_of(store: Store, way: Way) -> Source | None:
            nonlocal until_at
            source, expires_at = self._source(store, way, now)
            until_at = min(until_at, expires_at)
            return source

        sources: list[Source] = []
        ways = []
        feasible = self.map.feasible(wanted, source_of)
        is_open = self.map.is_anywhere(wanted) and any(self._rows(of_way) is None for _, of_way in feasible)
        # Any store will do, and one that keeps no stock may have anything: to name it would send people there in vain.
        for way, of_way in () if is_open else feasible:
            ways.append((len(sources), len(sources) + len(usable := self._usable(of_way)), way in SENT))
            sources += usable
        keeps = [self._keeps(source.store_id) for source in sources]
        named = wanted.store_id or wanted.pickup_store_id or (sources[0].store_id if sources else EVERYWHERE)
        currency = self._currency(named) or listed_currency
        names = [name for name in (named, EVERYWHERE) if (self._currency(name) or self.currency) == currency]
        price_rows = tuple(row for name in names if (row := self.tables.row_of.get(name)) is not None)
        stores = {source.store_id for source in sources}
        source_rows = [self.tables.row_of[source.store_id] for source in sources]
        return _Reached(
            sources,
            np.array(source_rows, np.intp),
            source_rows,
            np.array([number for number, is_kept in enumerate(keeps) if not is_kept], np.intp),
            ways,
            None if is_open else self._rows(sources),
            None if is_open else self._rows([source for source in sources if source.way not in SENT]),
            price_rows,
            None if currency == listed_currency else currency,
            frozenset(name for name in stores if (self._currency(name) or listed_currency) != currency),
            frozenset(
                self.tables.row_of[name] for name in stores if (self._currency(name) or self.currency) != currency
            ),
            now,
            until_at,
        )

    def _rows(self, sources: Sequence[Source]) -> Rows | None:
        if not all(self._keeps(source.store_id) for source in sources):
            return None
        return tuple(sorted({self.tables.row_of[source.store_id] for source in sources}))

    def _usable(self, sources: Sequence[Source]) -> Sequence[Source]:
        """Without those behind the first that keep no stock: nobody is sent further for what may not be there."""
        return [one for number, one in enumerate(sources) if number == 0 or self._keeps(one.store_id)]

    def _currency(self, store_id: str) -> str | None:
        """What the store states."""
        store = self.map.stores.get(store_id)
        return None if store is None else store.currency

    def _source(self, store: Store, way: Way, now: datetime) -> tuple[Source | None, datetime]:
        """How the store serves the way at `now`, which is good until an instant."""
        key = store.store_id, way
        known = self._sources.get(key)
        if known is None or not known[0] <= now < known[1]:
            made, expires_at = promise_and_expiry(store, way, now=now)
            source = None
            if made is not None:
                instants = made.available_from_at, made.available_until_at
                source = Source(way.value, store.store_id, *instants, made.slot_id)
            known = self._sources[key] = now, expires_at, source
        return known[2], known[1]


def _pickup_only(bundle: Bundle) -> Mask | None:
    """Which items the product table says are not sent (n,); None where it says that of none."""
    attribute = bundle.catalogue.attributes.get(PICKUP_ONLY)
    found = None if attribute is None else attribute.is_one_of(YES)
    return found if found is not None and found.any() else None
