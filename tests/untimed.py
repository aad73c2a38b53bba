"""Purchases without time, as a dataset."""

from collections.abc import Sequence

import polars as pl

from training.dataset import Dataset, load_interactions


def untimed(pairs: Sequence[tuple[str, str]], *, unsold: Sequence[str] = ()) -> Dataset:
    """Customer and product of each purchase; products of `unsold` stand in the product table alone."""
    empty = pl.lit(None, pl.String)
    frame = pl.DataFrame(pairs, schema=["customer_id", "product_id"], orient="row").with_columns(
        type=pl.lit("purchase"),
        time=pl.lit(None, pl.Datetime("us", "UTC")),
        anonymous_id=empty,
        basket_id=empty,
        session_id=empty,
        store_id=empty,
        quantity=pl.lit(1.0, pl.Float32),
        amount_minor=pl.lit(None, pl.Int64),
    )
    return load_interactions(frame, pl.DataFrame({"product_id": list(unsold)}, schema={"product_id": pl.String}))
