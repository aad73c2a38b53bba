"""What was bought and kept: purchases less what came back, for features and for the dataset alike."""

import polars as pl

from app.domain import REFUND, TRADES

PRODUCT = "product_id"
LEAST = 1e-6
"""Sums of float32 quantities are a little off: less than this of a line is nothing."""


def kept_purchases(history: pl.LazyFrame) -> pl.LazyFrame:
    """The purchase rows of a history with a product, each with what is left of its quantity and amounts.

    A purchase with a negative quantity or amount is a return, as a refund is; a line of quantity 0 was voided. A return
    takes from the lines of its basket and product, else from the customer's last lines of the product that are not
    later than it. Lines that came back whole are left out; returns that find no line change nothing.
    """
    rows = history.filter(
        pl.col("type").is_in(list(TRADES)) & pl.col(PRODUCT).is_not_null() & (pl.col("quantity").fill_null(1) != 0)
    )
    is_return = (
        (pl.col("type") == REFUND) | (pl.col("quantity") < 0).fill_null(False) | (pl.col("amount_minor") < 0)
    ).fill_null(False)
    returns, bought = rows.filter(is_return), rows.filter(~is_return)
    if returns.head(1).collect().is_empty():
        return bought
    of_baskets = bought.select("basket_id", PRODUCT).unique()
    by_basket = returns.join(of_baskets, on=["basket_id", PRODUCT], how="semi")
    by_customer = returns.join(of_baskets, on=["basket_id", PRODUCT], how="anti")
    return _less(_less(bought, by_basket, "basket_id"), by_customer, "customer_id")


def _less(bought: pl.LazyFrame, returns: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Takes what came back, by `key` and product, from the latest lines first."""
    returned = returns.group_by(key, PRODUCT).agg(
        pl.col("quantity").fill_null(1).abs().sum().alias("returned"), pl.col("time").max().alias("until")
    )
    # A null key joins with nothing, so such lines stay as they are.
    untouched = bought.join(returned, on=[key, PRODUCT], how="anti")
    touched = bought.join(returned, on=[key, PRODUCT], how="inner")
    quantity = pl.col("quantity").fill_null(1)
    is_open = (pl.col("time") <= pl.col("until")).fill_null(True)
    open_quantity = pl.when(is_open).then(quantity).otherwise(0)
    # The row id decides between lines of one instant, so that every run takes from the same one.
    later = open_quantity.cum_sum().over(key, PRODUCT) - open_quantity
    left = quantity - (pl.col("returned") - later).clip(0, open_quantity)
    columns = bought.collect_schema().names()
    share = pl.col("left") / quantity
    kept = (
        touched.sort("time", "row_id", descending=True, nulls_last=True)
        .with_columns(left.alias("left"))
        .filter(pl.col("left") > LEAST)
        .with_columns(
            (pl.col(name) * share).round().cast(pl.Int64).alias(name) for name in ("amount_minor", "discount_minor")
        )
        .with_columns(pl.col("left").cast(pl.Float32).alias("quantity"))
        .select(columns)
    )
    return pl.concat([untouched, kept])
