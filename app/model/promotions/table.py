"""The imported promotions as they lie in tables/: what imports write and training reads."""

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
