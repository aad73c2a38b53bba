"""SIMULATED stores, stock and prices for a history of sales that has none of them, such as the Complete Journey."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from app.errors import InvalidRequest
from app.places.simulation.prices import prices_of
from app.places.simulation.sales import StockChange, stock_changes
from app.places.simulation.stock import Stock, stock_of
from app.places.simulation.stores import CURRENCY, stores_of
from app.places.simulation.turnover import HEAD_COUNT, Money, Turnover, turnover_of
from app.places.store_rows import COLUMNS, store_row
from app.places.stores import Store

LABEL = "simulated"
"""In the name of every file and store."""
MINOR_PER_MAJOR = 100
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class SimulatedPlaces:
    """SIMULATED stores with their stock and prices as of `now`; nothing of it was ever true."""

    seed: int
    now: datetime
    stores: tuple[Store, ...]
    turnover: Turnover
    stock: Stock
    price_minor: Money

    def changes(self, *, begins_at: datetime, sales_per_s: float | None = None) -> Iterator[StockChange]:
        """Sales and deliveries from then on, without end; so many sales a second on average, or as many as there were.

        The same for the same seed and arguments (see `stock_changes`). Raises InvalidRequest for a rate of 0 or less.
        """
        rate = self.turnover.lines_per_day / DAY_S if sales_per_s is None else sales_per_s
        if not rate > 0:
            raise InvalidRequest(f"sales_per_s is {rate:g}: give a number above 0, as nothing would ever be sold")
        return stock_changes(
            self.stores, self.turnover, self.stock, seed=self.seed, begins_at=begins_at, sales_per_s=rate
        )

    def stores_table(self) -> pl.DataFrame:
        """Every store with the columns of `app.places.store_rows`."""
        return pl.DataFrame([store_row(store) for store in self.stores], schema=dict.fromkeys(COLUMNS, pl.String()))

    def stock_table(self) -> pl.DataFrame:
        """Every listed product of every store: store_id, product_id, quantity in pieces and as_of."""
        return self._cells().with_columns(
            pl.Series("quantity", self.stock.level), pl.lit(self.now, pl.Datetime("us", "UTC")).alias("as_of")
        )

    def prices_table(self) -> pl.DataFrame:
        """Every price of a single store: store_id, product_id, price in major units and currency."""
        price = pl.Series("price", self.price_minor / MINOR_PER_MAJOR)
        return self._cells().with_columns(price, pl.lit(CURRENCY).alias("currency")).filter(pl.col("price") > 0)

    def _cells(self) -> pl.DataFrame:
        """Store and product of each cell, each id kept once."""
        store_ids, product_ids = pl.Series(self.turnover.store_ids), pl.Series(self.turnover.product_ids)
        return pl.DataFrame(
            {
                "store_id": store_ids.cast(pl.Categorical())[self.turnover.store],
                "product_id": product_ids.cast(pl.Categorical())[self.turnover.product],
            }
        )


def simulate(
    lines: pl.DataFrame | pl.LazyFrame, *, seed: int, now: datetime, head_count: int = HEAD_COUNT
) -> SimulatedPlaces:
    """SIMULATED places for the stores of `lines`, the same for the same arguments.

    `lines` has store_id, product_id, timestamp, quantity and amount_minor; a store lists what it sold in the last
    26 weeks, and the `head_count` products that sell best anywhere. Raises InvalidRequest without lines of stores.
    """
    draws = [np.random.default_rng([seed, part]) for part in range(4)]
    turnover = turnover_of(lines, draws[0], head_count=head_count)
    return SimulatedPlaces(
        seed=seed,
        now=now,
        stores=stores_of(turnover, draws[1], now=now),
        turnover=turnover,
        stock=stock_of(turnover, draws[2]),
        price_minor=prices_of(turnover, draws[3]),
    )


@dataclass(frozen=True, slots=True)
class PlaceFiles:
    """Where tables were written, for `endcap import`."""

    stores: Path
    stock: Path
    prices: Path


def write_tables(
    places: SimulatedPlaces, folder: Path, *, file_format: Literal["csv", "parquet"] = "csv"
) -> PlaceFiles:
    """Writes the three tables into the folder; returns the files, whose names say that they are simulated."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"stores": places.stores_table(), "stock": places.stock_table(), "prices": places.prices_table()}
    files = PlaceFiles(*(folder / f"{LABEL}-{name}.{file_format}" for name in tables))
    for path, table in zip((files.stores, files.stock, files.prices), tables.values(), strict=True):
        if file_format == "csv":
            table.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ", float_precision=2)
        else:
            table.write_parquet(path)
    return files
