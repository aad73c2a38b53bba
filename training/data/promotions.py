"""Promotions on their way into training: what each past one sold, and those of any span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from app.domain import Floats, Ints
from app.model.promotions.table import DISPLAY, ENDS_AT, FILE, FLYER, STARTS_AT, STORE_ID, runs

Sums = npt.NDArray[np.float64]
Wide = npt.NDArray[np.int64]
MINUTES_A_DAY = 1440
EVERYWHERE = -1
_KEY_SHIFT = 32
"""Minutes since 1970 need 25 bits; what they are counted for goes above them in one sortable number."""


@dataclass(frozen=True, slots=True)
class PlacedLines:
    """What was bought, where (-1 = unknown) and on which day, one value per line."""

    item: Ints
    store: Ints
    day: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PromotionRows:
    """Promotions of known products, one value per row. `store` -1 = all; `minutes` (r, 2); `shown` (r, 2): on display,
    in the flyer."""

    item: Ints
    store: Ints
    minutes: Ints
    shown: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Promotions:
    """The promotion table, and per item and end (parallel arrays) what promotions that ended then sold.

    `sales`: lines of the item in the promotions' stores while they lasted. `traffic`: lines of all items there and
    then. `store_ids` are the dataset's own, then those without a line. Nothing here is of one cut: who asks for sales
    names the instant until which they are known.
    """

    path: Path
    product_ids: Sequence[str]
    store_ids: Sequence[str]
    item: Ints
    end_minute: Ints
    sales: Floats
    traffic: Floats
    row_count: int
    week_count: int

    def ended_by(self, day: float) -> tuple[Sums, Sums]:
        """Per product the lines that promotions sold which had ended by this day, and the traffic where they were."""
        known = self.end_minute <= day * MINUTES_A_DAY
        count, item = len(self.product_ids), self.item[known]
        sold, passed = (np.bincount(item, one[known], count) for one in (self.sales, self.traffic))
        return np.asarray(sold, np.float64), np.asarray(passed, np.float64)

    def facts(self, day: float, *, line_count: int) -> dict[str, object]:
        """For the report: rows, weeks in which some start, and the share of the lines until this day they sold."""
        sold = float(self.ended_by(day)[0].sum())
        return {
            "promotions": self.row_count,
            "promotion_weeks": self.week_count,
            "share_of_lines_on_promotion": round(sold / max(line_count, 1), 4),
        }

    def between(self, first_day: float, last_day: float) -> PromotionRows:
        """The rows that are in force at some instant of this span."""
        return rows_between(self.path, self.product_ids, self.store_ids, days=(first_day, last_day))


def rows_between(
    path: Path, product_ids: Sequence[str], store_ids: Sequence[str], *, days: tuple[float, float]
) -> PromotionRows:
    """The rows of these products that are in force at some instant between two days."""
    first, last = (pl.from_epoch(pl.lit(round(day * 86_400))).dt.replace_time_zone("UTC") for day in days)
    table = pl.scan_parquet(path).filter((pl.col(ENDS_AT) > first) & (pl.col(STARTS_AT) < last))
    return coded_rows(table, product_ids, store_ids)


def load_promotions(
    tables_dir: Path, product_ids: Sequence[str], store_ids: Sequence[str], placed: PlacedLines
) -> Promotions | None:
    """The promotions of `tables_dir` next to the lines that were bought; None without any, or without times.

    20.9 million rows take 12 s and 300 MB, because they are read start after start.
    """
    path = tables_dir / FILE
    if not path.exists() or not placed.day.any():
        return None
    table = pl.scan_parquet(path)
    named = table.select(STORE_ID).unique().drop_nulls().collect()[STORE_ID].cast(pl.String).to_list()
    stores = [*store_ids, *sorted(set(named) - set(store_ids))]
    lines = _Lines.of(placed.item, placed.store, (placed.day * MINUTES_A_DAY).astype(np.int64))
    parts, row_count, starts = [], 0, set()
    for first, last in runs(table):
        rows = coded_rows(table.filter(pl.col(STARTS_AT).is_between(first, last)), product_ids, stores)
        row_count += len(rows.item)
        starts |= set(np.unique(rows.minutes[:, 0] // (7 * MINUTES_A_DAY)).tolist())
        parts.append(_sold(rows, lines, len(product_ids)))
    if not row_count:
        return None
    ended, end_minute, sales, traffic = (np.concatenate([part[place] for part in parts]) for place in range(4))
    return Promotions(path, product_ids, stores, ended, end_minute, sales, traffic, row_count, len(starts))


def coded_rows(table: pl.LazyFrame, product_ids: Sequence[str], store_ids: Sequence[str]) -> PromotionRows:
    """The rows of these products as numbers; other products are left out."""
    items, stores = (
        pl.LazyFrame({name: pl.Series(ids, dtype=pl.Categorical), code: np.arange(len(ids), dtype=np.int32)})
        for name, code, ids in (("product_id", "item", product_ids), (STORE_ID, "store", store_ids))
    )
    minute = [pl.col(name).dt.epoch("s") // 60 for name in (STARTS_AT, ENDS_AT)]
    found = (
        table.join(items, on="product_id")
        .join(stores, on=STORE_ID, how="left")
        .select(
            "item",
            pl.col("store").fill_null(EVERYWHERE),
            *(one.cast(pl.Int32) for one in minute),
            pl.col(DISPLAY).is_not_null(),
            pl.col(FLYER).is_not_null(),
        )
        .collect()
    )
    return PromotionRows(
        found["item"].to_numpy(),
        found["store"].to_numpy(),
        found.select(STARTS_AT, ENDS_AT).to_numpy(),
        found.select(DISPLAY, FLYER).to_numpy(),
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines as sorted numbers: by item and store, by item, by store, by nothing; each with the minute."""

    by_item_and_store: Wide
    by_item: Wide
    by_store: Wide
    minutes: Wide
    store_count: int

    @classmethod
    def of(cls, item: Ints, store: Ints, minute: Wide) -> "_Lines":
        store_count = int(store.max(initial=0)) + 2
        return cls(
            np.sort(_key(_pair(item, store, store_count), minute)),
            np.sort(_key(item, minute)),
            np.sort(_key(store + 1, minute)),
            np.sort(minute),
            store_count,
        )


def _sold(rows: PromotionRows, lines: _Lines, item_count: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Per item and end: lines of the item, and of all items, where and while it was on promotion."""
    sales, traffic = np.zeros((2, len(rows.item)), np.float32)
    # A store without a line sold nothing.
    there = (rows.store >= 0) & (rows.store < lines.store_count - 1)
    everywhere = rows.store == EVERYWHERE
    pair = _pair(rows.item, rows.store, lines.store_count)
    for chosen, ours, theirs, key, other in (
        (there, lines.by_item_and_store, lines.by_store, pair, rows.store + 1),
        (everywhere, lines.by_item, lines.minutes, rows.item, np.zeros_like(rows.item)),
    ):
        sales[chosen] = _count(ours, key[chosen], rows.minutes[chosen])
        traffic[chosen] = _count(theirs, other[chosen], rows.minutes[chosen])
    ends, end = np.unique(rows.minutes[:, 1], return_inverse=True)
    distinct, position = np.unique(rows.item.astype(np.int64) * len(ends) + end, return_inverse=True)
    sums = (np.bincount(position, one, len(distinct)).astype(np.float32) for one in (sales, traffic))
    return ((distinct // len(ends)).astype(np.int32), ends[distinct % len(ends)], *sums)


def _pair(item: Ints, store: Ints, store_count: int) -> Wide:
    return item.astype(np.int64) * store_count + store + 1


def _key(what: Ints | Wide, minute: Wide | Ints) -> Wide:
    return (what.astype(np.int64) << _KEY_SHIFT) + minute


def _count(keys: Wide, what: Ints | Wide, minutes: Ints) -> npt.NDArray[np.intp]:
    """Lines of `what` from the first minute on and before the second."""
    first, end = (np.searchsorted(keys, _key(what, minutes[:, place].astype(np.int64))) for place in (0, 1))
    return end - first
