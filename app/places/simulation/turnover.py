"""What SIMULATED stores sell and list, from the till lines of a panel of households."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from app.domain import Ints
from app.errors import InvalidRequest

ONLINE = "online"
"""The id of the simulated warehouse, the last of the stores."""
TIME_ZONE = "America/New_York"
WEEKS = 26
"""A store lists what it sold in so many weeks before the last line."""
HEAD_COUNT = 2_000
"""Every store lists so many of the products that sell best in all of them."""
CELLS_MAX = 3_000_000
WAREHOUSE_SHARE = 0.9
"""Of all products that the warehouse lists."""
CUSTOMERS_PER_HOUSEHOLD = 50
"""Each household of the panel stands for so many customers, or the stores would sell a hundred lines a day."""
LEAST_WEEKLY = 2_000.0
"""Pieces that a store sells in a week at least; the panel shopped only once in many stores."""
ONLINE_SHARE = 0.1
"""What the warehouse sells, next to all stores together."""
OWN_SHARE = 0.5
"""How far a store's own sales count in what it sells of a product; the rest is as in all stores."""
LINE_PIECES_MAX = 6
PIECES_MAX = 100
"""Lines of more pieces are fuel, counted in thousandths of a gallon."""

Numbers = npt.NDArray[np.float64]
Money = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Turnover:
    """SIMULATED sales of s stores, p products and c cells: a product that a store lists, sorted by store.

    `daily` (c,) in pieces; `price_minor` (p,) the chain's price of a piece, 0 = unknown; `hourly` (24,) how much of the
    day's turnover is in each hour there, 1 on average; `line_pieces` (6,) how often a line has 1 to 6 pieces.
    """

    store_ids: tuple[str, ...]
    product_ids: tuple[str, ...]
    store: Ints
    product: Ints
    daily: Numbers
    price_minor: Money
    hourly: Numbers
    line_pieces: Numbers

    @property
    def store_daily(self) -> Numbers:
        """Pieces a day of each store (s,)."""
        return np.bincount(self.store, self.daily, minlength=len(self.store_ids)).astype(np.float64)

    @property
    def lines_per_day(self) -> float:
        """Lines that all of them sell in a day."""
        return float(self.daily.sum() / (self.line_pieces @ np.arange(1, LINE_PIECES_MAX + 1)))


def turnover_of(
    lines: pl.DataFrame | pl.LazyFrame, rng: np.random.Generator, *, head_count: int = HEAD_COUNT
) -> Turnover:
    """What stores sell, from lines with store_id, product_id, timestamp, quantity and amount_minor.

    Raises InvalidRequest where no line has goods and a store.
    """
    sold, store_ids = _sold(lines)
    products = _products(sold)
    stores = pl.DataFrame({"store_id": store_ids, "store": np.arange(len(store_ids), dtype=np.int32)})
    own = (
        sold.group_by("store_id", "product_id")
        .agg(pl.col("quantity").cast(pl.Float64).sum())
        .join(stores, on="store_id")
        .join(products.select("product_id", "product"), on="product_id")
    )
    cells, pieces = _cells(own, len(store_ids), products.height, head_count=head_count)
    share = products["pieces"].to_numpy() / products["pieces"].sum()
    store, product = cells // products.height, cells % products.height
    own_weekly = OWN_SHARE * CUSTOMERS_PER_HOUSEHOLD / WEEKS * pieces
    own_total = np.bincount(store, own_weekly, minlength=len(store_ids))
    weekly = np.maximum(own_total / OWN_SHARE, LEAST_WEEKLY)
    daily = (own_weekly + (weekly - own_total)[store] * share[product]) / 7
    online = np.flatnonzero(rng.random(products.height) < WAREHOUSE_SHARE)
    return Turnover(
        store_ids=(*store_ids, ONLINE),
        product_ids=tuple(products["product_id"]),
        store=np.append(store, np.full(len(online), len(store_ids))).astype(np.int32),
        product=np.append(product, online).astype(np.int32),
        daily=np.append(daily, ONLINE_SHARE * weekly.sum() * share[online] / 7),
        price_minor=products["price_minor"].to_numpy(),
        hourly=_hourly(sold),
        line_pieces=_line_pieces(sold),
    )


def rank_of(daily: Numbers) -> npt.NDArray[np.int64]:
    """The place of each store among all, 0 for the one that sells most."""
    return np.argsort(np.argsort(-daily, kind="stable"), kind="stable").astype(np.int64)


def _sold(lines: pl.DataFrame | pl.LazyFrame) -> tuple[pl.DataFrame, list[str]]:
    """The lines of the last weeks, and the stores of all."""
    in_stores = lines.lazy().filter(pl.col("store_id") != ONLINE, pl.col("product_id").is_not_null())
    goods = in_stores.filter(pl.col("quantity") > 0, pl.col("quantity") <= PIECES_MAX)
    after = pl.col("timestamp") > pl.col("timestamp").max() - timedelta(weeks=WEEKS)
    columns = ("store_id", "product_id", "timestamp", "quantity", "amount_minor")
    sold, stores = pl.collect_all([goods.filter(after).select(columns), in_stores.select("store_id").unique()])
    if sold.is_empty():
        raise InvalidRequest(
            "no line has a store, a product and 1 to 100 pieces: import transactions of stores before simulating them"
        )
    return sold, stores["store_id"].sort().to_list()


def _products(sold: pl.DataFrame) -> pl.DataFrame:
    """Each product with its number, pieces and price; what sells best comes first."""
    price = (pl.col("amount_minor") / pl.col("quantity")).filter(pl.col("amount_minor") > 0).median()
    return (
        sold.group_by("product_id")
        .agg(pl.col("quantity").cast(pl.Float64).sum().alias("pieces"), price.alias("price_minor"))
        .sort("pieces", "product_id", descending=[True, False])
        .with_columns(pl.col("price_minor").fill_null(0).round().cast(pl.Int64))
        .with_row_index("product")
    )


def _cells(own: pl.DataFrame, stores: int, products: int, *, head_count: int) -> tuple[Money, Numbers]:
    """The cells as store * products + product, in their order, and the panel's pieces in each."""
    keys = own["store"].to_numpy().astype(np.int64) * products + own["product"].to_numpy()
    head = min(head_count, products, max(0, CELLS_MAX - len(keys) - products) // stores)
    all_heads = np.arange(stores, dtype=np.int64)[:, None] * products + np.arange(head)
    # Sorting is several times as fast as numpy's own union.
    both = np.sort(np.concatenate((keys, all_heads.ravel())))
    cells = both[np.diff(both, prepend=-1) > 0]
    pieces = np.zeros(len(cells))
    pieces[np.searchsorted(cells, keys)] = own["quantity"]
    return cells, pieces


def _hourly(sold: pl.DataFrame) -> Numbers:
    hours = sold["timestamp"].dt.convert_time_zone(TIME_ZONE).dt.hour()
    return np.bincount(hours, minlength=24) / len(hours) * 24


def _line_pieces(sold: pl.DataFrame) -> Numbers:
    pieces = sold["quantity"].round().clip(1, LINE_PIECES_MAX).cast(pl.Int64)
    return np.bincount(pieces - 1, minlength=LINE_PIECES_MAX) / len(pieces)
