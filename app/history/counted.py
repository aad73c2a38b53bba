"""The history as it counts: of a basket that was reported more than once each line once (`app/baskets/reports.py`)."""

import polars as pl

from app.baskets.reports import PIECE_DIGITS
from app.domain import KEY_PATTERN, LOCAL, REFUND, TRADES
from app.history.rows import (
    AMOUNT_MINOR,
    ANONYMOUS_ID,
    BASKET_ID,
    CUSTOMER_ID,
    FROM_EVENT,
    IMPORT_ID,
    PRODUCT_ID,
    QUANTITY,
    ROW_ID,
    SOURCE,
    STORE_ID,
    TIME,
    TYPE,
)

IS_EVENT, ORIGIN, IS_RETURN, WHO, STORE = "is_event", "origin", "is_return", "who", "store"
SENDER, EVENT_ID, SENDING, ITEM, REPORT, POSITION, PIECES = (
    "sender", "event_id", "sending", "item", "report", "position", "pieces",
)  # fmt: skip
BASKET = [WHO, BASKET_ID]
PRODUCT = [*BASKET, IS_RETURN, PRODUCT_ID]


def counted_once(history: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a history without those that report a purchase or a refund once more; all others as they are.

    A customer is the customer id, else the anonymous id. Rows without either, or without a basket, all stay. Costs a
    look at two columns where all rows come from one import, and four numbers a line in memory else.
    """
    lines = _lines(history)
    origins = lines.select(IS_EVENT, ORIGIN).unique().collect(engine="streaming")
    if origins.height < 2 and not origins[IS_EVENT].any():
        return history
    in_doubt = _in_doubt(lines)
    if in_doubt.is_empty():
        return history
    reported = lines.filter(_number_of(BASKET).is_in(in_doubt.implode())).collect(engine="streaming")
    repeats = reported.select(ROW_ID).join(_counted(_in_reports(reported)), on=ROW_ID, how="anti")
    return history if repeats.is_empty() else history.join(repeats.lazy(), on=ROW_ID, how="anti", maintain_order="left")


def _lines(history: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases and refunds of somebody's named basket."""
    quantity = pl.col(QUANTITY).fill_null(1)
    is_event = (pl.col(SOURCE) == FROM_EVENT).fill_null(False)
    who = pl.coalesce(CUSTOMER_ID, ANONYMOUS_ID)
    is_named = pl.all_horizontal(one.is_not_null() for one in (who, pl.col(BASKET_ID), pl.col(PRODUCT_ID)))
    return history.filter(pl.col(TYPE).is_in(list(TRADES)) & (quantity != 0) & is_named).select(
        ROW_ID,
        BASKET_ID,
        PRODUCT_ID,
        STORE_ID,
        TIME,
        AMOUNT_MINOR,
        who.alias(WHO),
        quantity.abs().alias(QUANTITY),
        # As `training/data/purchases.py` knows what came back.
        ((pl.col(TYPE) == REFUND) | (quantity < 0) | (pl.col(AMOUNT_MINOR) < 0)).fill_null(False).alias(IS_RETURN),
        is_event.alias(IS_EVENT),
        pl.when(~is_event).then(pl.col(IMPORT_ID).fill_null("")).alias(ORIGIN),
    )


def _number_of(columns: list[str]) -> pl.Expr:
    return pl.struct(columns).hash()


def _in_doubt(lines: pl.LazyFrame) -> pl.Series:
    """The numbers of the baskets with a product that more than one event, or more than one import, tells of.

    Numbers instead of names, because they take a tenth of the memory; should two baskets share one, both are looked at.
    """
    numbers = lines.select(_number_of(BASKET).alias("basket"), _number_of(PRODUCT).alias("product"), IS_EVENT, ORIGIN)
    repeated = numbers.collect(engine="streaming").filter(pl.col("product").is_duplicated())
    products = repeated.group_by("product").agg(
        pl.col("basket").first(), (pl.col(IS_EVENT).any() | (pl.col(ORIGIN).n_unique() > 1)).alias("in_doubt")
    )
    return products.filter("in_doubt")["basket"].unique()


def _in_reports(reported: pl.DataFrame) -> pl.DataFrame:
    """The lines with the report that each is in; one basket_id in two stores is two baskets here."""
    key = pl.col(ROW_ID).str.extract_groups(KEY_PATTERN).struct
    # As `app.domain.event_of` reads it.
    sender, event_id = pl.coalesce(key.field(SENDER), pl.lit(LOCAL)), pl.coalesce(key.field(EVENT_ID), ROW_ID)
    item = key.field(ITEM).cast(pl.Int64, strict=False).fill_null(0)
    # No sender begins with a NUL.
    of_import = pl.format("\x00{}", ORIGIN)
    sending = pl.format("{} {}", sender, event_id.str.replace(r":[0-9]+$", ""))
    is_event = pl.col(IS_EVENT)
    named = reported.with_columns(
        pl.when(is_event).then(sender).otherwise(of_import).alias(SENDER),
        pl.when(is_event).then(sending).otherwise(of_import).alias(SENDING),
        pl.when(is_event).then(item).otherwise(0).alias(ITEM),
        pl.coalesce(STORE_ID, pl.col(STORE_ID).min().over(BASKET)).alias(STORE),
    )
    has_items = (pl.col(ITEM) > 0).any().over(*BASKET, STORE, SENDING)
    return named.with_columns(pl.when(has_items).then(SENDING).otherwise(SENDER).alias(REPORT))


def _counted(lines: pl.DataFrame) -> pl.DataFrame:
    """Of each product the lines of the report that counts."""
    content = [*PRODUCT, STORE, REPORT, TIME, QUANTITY, AMOUNT_MINOR]
    ordered = lines.sort(SENDING, ROW_ID).with_columns(pl.int_range(pl.len()).over(*content, SENDING).alias(POSITION))
    distinct = ordered.unique([*content, POSITION], keep="first", maintain_order=True)
    pieces = distinct.group_by(*PRODUCT, STORE, REPORT).agg(
        pl.col(QUANTITY).cast(pl.Float64).sum().round(PIECE_DIGITS).alias(PIECES)
    )
    chosen = pieces.sort(PIECES, REPORT, descending=[True, False]).unique(
        [*PRODUCT, STORE], keep="first", maintain_order=True
    )
    return distinct.join(chosen, on=[*PRODUCT, STORE, REPORT], how="semi", nulls_equal=True)
