"""Baskets of the last days out of the history, as offers are tried on: whole customers, drawn at random."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from app.domain import PURCHASE
from app.history.counted import counted_once
from app.history.rows import (
    AMOUNT_MINOR,
    BASKET_ID,
    CHANNEL,
    CURRENCY,
    CUSTOMER_ID,
    PRODUCT_ID,
    QUANTITY,
    STORE_ID,
    TIME,
    TYPE,
)
from app.offers.planning.simulation import PastBasket, Sample
from app.offers.terms.basket import Basket, BasketLine, Situation

ROW, KEY = "row", "basket_key"

Described = Callable[[str], Mapping[str, str]]
"""The columns of a product in the catalogue."""


def draw_baskets(
    rows: pl.LazyFrame,
    *,
    days: int,
    basket_count: int,
    seed: int,
    only: Collection[str] | None,
    tiers: Mapping[str, str],
    described: Described,
    now: datetime,
) -> Sample:
    """Baskets of the last `days` that the history holds before `now`: those of so many customers, drawn at
    random, that they are `basket_count` at most.

    A basket is what a customer bought under one basket_id, else on one day; lines without a price are left out, as
    are customers other than `only`. One customer is drawn at least.
    """
    lines = _lines(rows, days=days, only=only, now=now)
    baskets = lines.group_by(CUSTOMER_ID, KEY).agg(pl.len()).group_by(CUSTOMER_ID).agg(pl.len().alias("count"))
    # group_by() has no order of its own, and a seed should draw the same customers each time.
    everybody = baskets.sort(CUSTOMER_ID)
    order = np.random.default_rng(seed).permutation(everybody.height)
    total = everybody["count"].gather(order).cum_sum()
    drawn = everybody[CUSTOMER_ID].gather(order)[: max(1, int((total <= basket_count).sum()))]
    # implode(), because Polars finds is_in() with a column of the same type ambiguous.
    chosen = lines.filter(pl.col(CUSTOMER_ID).is_in(drawn.implode())).sort(TIME, CUSTOMER_ID, KEY, PRODUCT_ID)
    return Sample(_baskets(chosen, tiers, described), everybody.height, int(everybody["count"].sum()))


def _lines(rows: pl.LazyFrame, *, days: int, only: Collection[str] | None, now: datetime) -> pl.DataFrame:
    priced = pl.col(AMOUNT_MINOR).is_not_null() & pl.col(CURRENCY).is_not_null() & (pl.col(QUANTITY) > 0)
    bought = (pl.col(TYPE) == PURCHASE) & pl.col(CUSTOMER_ID).is_not_null() & pl.col(PRODUCT_ID).is_not_null()
    sold = rows.filter(bought & priced & (pl.col(TIME) < now))
    if only is not None:
        sold = sold.filter(pl.col(CUSTOMER_ID).is_in(list(only)))
    # The streaming engine reads the history piece by piece, so all of it need never be in memory.
    last_at = sold.select(pl.col(TIME).max()).collect(engine="streaming").item()
    since_at = (last_at or now) - timedelta(days=days)
    columns = (TIME, CUSTOMER_ID, PRODUCT_ID, QUANTITY, AMOUNT_MINOR, CURRENCY, STORE_ID, CHANNEL)
    key = pl.coalesce(BASKET_ID, pl.col(TIME).dt.date().cast(pl.String)).alias(KEY)
    return counted_once(sold.filter(pl.col(TIME) > since_at)).select(*columns, key).collect(engine="streaming")


def _baskets(lines: pl.DataFrame, tiers: Mapping[str, str], described: Described) -> list[PastBasket]:
    known = {product_id: described(product_id) for product_id in lines[PRODUCT_ID].unique()}
    each = lines.group_by(CUSTOMER_ID, KEY, CURRENCY, maintain_order=True).agg(
        pl.col(TIME, STORE_ID, CHANNEL).first(), pl.col(PRODUCT_ID, QUANTITY, AMOUNT_MINOR)
    )
    found = []
    for customer_id, _, currency, at, store_id, channel, products, quantities, amounts in each.iter_rows():
        bought = enumerate(zip(products, quantities, amounts, strict=True))
        basket = Basket(
            tuple(
                BasketLine(str(number), product_id, round(quantity, 6), amount_minor, known[product_id])
                for number, (product_id, quantity, amount_minor) in bought
            ),
            currency,
        )
        situation = Situation(at, customer_id, tiers.get(customer_id), channel, store_id)
        found.append(PastBasket(basket, situation))
    return found
