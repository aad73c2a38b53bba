"""SIMULATED sales at tills and deliveries by truck: changes of stock as they would happen from some instant on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from app.domain import Mask
from app.places.simulation.stock import LEAD_DAYS, Stock
from app.places.simulation.turnover import LINE_PIECES_MAX, TIME_ZONE, Numbers, Turnover
from app.places.stores import OpeningHours, Store

STEP_S = 60
"""Sales are drawn for so long at a time; a store that opens or closes meanwhile does so a little late."""
UNLOADING_DAYS = 1 / 24
LATE_SHARE = 0.1
"""Of all orders: the supplier has none, until well after the last piece is sold."""
LATE_FULL = 0.8
"""Late by the days in which the rest is sold, and up to so many times those in which a full stock is."""
LATE_DAYS_MAX = 60.0


class StockChange(NamedTuple):
    """Pieces sold (below zero) or delivered in a SIMULATED store."""

    store_id: str
    product_id: str
    change: int
    at: datetime


def stock_changes(
    stores: Sequence[Store], turnover: Turnover, stock: Stock, *, seed: int, begins_at: datetime, sales_per_s: float
) -> Iterator[StockChange]:
    """Sales and deliveries without end in the order of their times, always the same for the same arguments.

    `sales_per_s` is the average over a day; at night there are fewer. Who finds a product sold out leaves without it.
    Trucks come by days of turnover: as many sales as make a day bring the deliveries of a day, however fast they are,
    so that the share of sold-out cells stays. `stores` are those of `turnover`, in its order; `stock` stays as it is.
    """
    rng = np.random.default_rng(seed)
    trucks = _Trucks(turnover, stock, rng.random(len(stores)) * stock.cycle_days)
    level, reorder_at, full = stock.level.tolist(), stock.reorder_at.tolist(), stock.full.tolist()
    due = trucks.on_their_way(rng)
    sales = _sales(stores, turnover, rng, begins_at=begins_at, sales_per_s=sales_per_s)
    a_day = turnover.lines_per_day
    for number, (at_s, cell, pieces) in enumerate(sales):
        day = number / a_day
        while due and due[0][0] <= day:
            brought = heappop(due)[1]
            yield _change(turnover, brought, full[brought] - level[brought], at_s=at_s)
            level[brought] = full[brought]
        before = level[cell]
        if before == 0:
            continue
        level[cell] = max(0, before - pieces)
        yield _change(turnover, cell, level[cell] - before, at_s=at_s)
        if before > reorder_at[cell] >= level[cell]:
            heappush(due, (trucks.ordered(cell, level[cell], rng, day=day), cell))


def _change(turnover: Turnover, cell: int, pieces: int, *, at_s: float) -> StockChange:
    store_id, product_id = turnover.store_ids[turnover.store[cell]], turnover.product_ids[turnover.product[cell]]
    return StockChange(store_id, product_id, pieces, datetime.fromtimestamp(at_s, UTC))


@dataclass(frozen=True, slots=True)
class _Trucks:
    """When trucks come to s stores, in days of turnover: on `first_day` (s,), and again after each cycle."""

    turnover: Turnover
    stock: Stock
    first_day: Numbers

    def ordered(self, cell: int, left: int, rng: np.random.Generator, *, day: float) -> float:
        """The day on which it comes that is ordered on this one, `left` pieces being there."""
        days = LEAD_DAYS
        if rng.random() < LATE_SHARE:
            short = left + rng.random() * LATE_FULL * self.stock.full[cell]
            days += min(LATE_DAYS_MAX, short / self.turnover.daily[cell])
        return float(self._coming(np.array([cell]), np.array([day + days]), rng)[0])

    def on_their_way(self, rng: np.random.Generator) -> list[tuple[float, int]]:
        """The days on which deliveries come to all cells that are low as it begins, with the cells; as a heap."""
        low = np.flatnonzero(self.stock.level <= self.stock.reorder_at)
        short = rng.random(len(low)) * LATE_FULL * self.stock.full[low]
        late_days = np.minimum(LATE_DAYS_MAX, short / self.turnover.daily[low])
        coming = self._coming(low, np.where(self.stock.level[low] == 0, late_days, 0.0), rng)
        due = list(zip(coming.tolist(), low.tolist(), strict=True))
        heapify(due)
        return due

    def _coming(self, cells: npt.NDArray[np.integer], earliest: Numbers, rng: np.random.Generator) -> Numbers:
        store = self.turnover.store[cells]
        first, cycle = self.first_day[store], self.stock.cycle_days[store]
        unloaded: Numbers = (
            first + np.ceil((earliest - first) / cycle) * cycle + rng.random(len(store)) * UNLOADING_DAYS
        )
        return unloaded


def _sales(
    stores: Sequence[Store], turnover: Turnover, rng: np.random.Generator, *, begins_at: datetime, sales_per_s: float
) -> Iterator[tuple[float, int, int]]:
    """When, from which cell and how many pieces, for as long as anybody reads on."""
    sold = np.concatenate(([0.0], np.cumsum(turnover.daily)))
    ends = np.searchsorted(turnover.store, np.arange(len(stores) + 1))
    store_daily = np.diff(sold[ends])
    zone = ZoneInfo(TIME_ZONE)
    for step in count():
        step_s = begins_at.timestamp() + step * STEP_S
        local = datetime.fromtimestamp(step_s, zone)
        lines = rng.poisson(sales_per_s * STEP_S * turnover.hourly[local.hour])
        selling = np.cumsum(store_daily * _are_open(stores, local))
        store = np.searchsorted(selling, rng.random(lines) * selling[-1], side="right")
        begin, end = sold[ends[store]], sold[ends[store + 1]]
        cell = np.searchsorted(sold, begin + rng.random(lines) * (end - begin), side="right") - 1
        cell = np.minimum(cell, ends[store + 1] - 1)  # Where the sum was rounded up.
        pieces = rng.choice(LINE_PIECES_MAX, lines, p=turnover.line_pieces) + 1
        at_s = step_s + np.sort(rng.random(lines)) * STEP_S
        yield from zip(at_s.tolist(), cell.tolist(), pieces.tolist(), strict=True)


def _are_open(stores: Sequence[Store], local: datetime) -> Mask:
    return np.array([store.hours is None or _is_open(store.hours, local) for store in stores])


def _is_open(hours: OpeningHours, local: datetime) -> bool:
    openings = hours.exceptions.get(local.date(), hours.weekly[local.weekday()])
    return any(opens <= local.time() and (local.time() < closes or closes == time.min) for opens, closes in openings)
