"""The imported promotions as they lie in tables/: what imports write and training reads."""

from datetime import datetime

import polars as pl

FILE = "promotions.parquet"
STORE_ID, STARTS_AT, ENDS_AT, DISPLAY, FLYER = "store_id", "starts_at", "ends_at", "display", "flyer"
KEY = ("product_id", STORE_ID, STARTS_AT)
SCHEMA = pl.Schema(
    {
        "product_id": pl.Categorical(),
        STORE_ID: pl.Categorical(),
        STARTS_AT: pl.Datetime("us", "UTC"),
        ENDS_AT: pl.Datetime("us", "UTC"),
        DISPLAY: pl.Categorical(),
        FLYER: pl.Categorical(),
    }
)
"""A row without `store_id` is of all stores; without `display` or `flyer` it is not there, and may be in the other."""
RUN_ROWS = 1_000_000
"""So many rows, and all others of their last start, are looked at together: 200 MB."""


def runs(*tables: pl.LazyFrame) -> list[tuple[datetime, datetime]]:
    """Spans of starts, ascending, first and last included, that hold all rows of the tables, each about RUN_ROWS."""
    counted = pl.concat([table.select(STARTS_AT) for table in tables]).group_by(STARTS_AT).len().sort(STARTS_AT)
    run = (pl.col("len").cum_sum() - pl.col("len")) // RUN_ROWS
    spans = counted.group_by(run.alias("run"), maintain_order=True).agg(
        pl.col(STARTS_AT).min().alias("first"), pl.col(STARTS_AT).max().alias("last")
    )
    return list(spans.select("first", "last").collect().iter_rows())
