"""From history rows to feature tables as of an instant: the one definition behind training and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from app.feature_fields import ACTIVITY, PROFILE, PURCHASES, STATISTICS, Feature, FieldType, product_key
from app.history.counted import counted_once
from training.data.purchases import kept_purchases

# Bounds the row that every decision reads and decodes.
MAX_BOUGHT_COUNT = 5000
_DAY_S = 86_400.0

_DTYPES: dict[FieldType, pl.DataType] = {
    FieldType.F64: pl.Float64(),
    FieldType.F32: pl.Float32(),
    FieldType.I64: pl.Int64(),
    FieldType.STR: pl.String(),
    FieldType.STR_LIST: pl.List(pl.String()),
    FieldType.F32_LIST: pl.List(pl.Float32()),
    FieldType.F64_LIST: pl.List(pl.Float64()),
}


@dataclass(frozen=True, slots=True)
class CustomerTables:
    """`profile`: a row for each customer seen; `purchases`: for each who bought. Sorted by customer_id,
    columns customer_id, event_timestamp (= as_of), then the view's fields in their order."""

    profile: pl.DataFrame
    purchases: pl.DataFrame


def table_schema(entity: str, features: Sequence[Feature]) -> dict[str, pl.DataType]:
    """Column names and types of a feature table: the entity's key, event_timestamp, the fields."""
    fields = {feature.name: _DTYPES[feature.kind] for feature in features}
    return {entity: pl.String(), "event_timestamp": pl.Datetime("us", "UTC"), **fields}


def customer_tables(history: pl.LazyFrame, *, as_of: datetime, products: pl.LazyFrame | None = None) -> CustomerTables:
    """The batch views of all customers from rows with time < as_of.

    A history without any time counts whole. `products` (product_id, department) gives the favourite
    departments; without it they are empty. Cost: about 1 s for 1.5 M lines on two cores.
    """
    rows = rows_before(history, as_of)
    lines = _lines(rows.filter(pl.col("customer_id").is_not_null()), as_of)
    profile = _seen(rows).join(_profile(lines), on="customer_id", how="left")
    profile = profile.join(_home_stores(lines), on="customer_id", how="left")
    profile = profile.join(_favourite_departments(lines, products), on="customer_id", how="left")
    profile = profile.with_columns(
        pl.col("basket_count", "line_count", "product_count").fill_null(0),
        pl.col("favourite_departments").fill_null(pl.lit([], dtype=pl.List(pl.String))),
    )
    return CustomerTables(
        profile=_table(profile, "customer_id", PROFILE, as_of),
        purchases=_table(_purchases(lines), "customer_id", PURCHASES, as_of),
    )


def customer_activity(history: pl.LazyFrame, *, as_of: datetime) -> pl.DataFrame:
    """What the live view would hold at `as_of`, from timed rows: the offline side of the push source."""
    rows = rows_before(history, as_of).filter(pl.col("time").is_not_null() & pl.col("customer_id").is_not_null())
    recent = pl.col("time") >= as_of - timedelta(days=1)
    activity = (
        # The row id decides between events of one instant, so that the last one is the same in every run.
        rows.sort("time", "row_id")
        .group_by("customer_id")
        .agg(
            last_seen_at=_unix_s(pl.col("time").max()),
            last_channel=pl.col("channel").drop_nulls().last(),
            last_store_id=pl.col("store_id").drop_nulls().last(),
            event_count_24h=recent.sum(),
            last_purchase_at_live=_unix_s(pl.col("time").filter(pl.col("type") == "purchase").max()),
        )
    )
    return _table(activity.collect(), "customer_id", ACTIVITY, as_of)


def product_statistics(history: pl.LazyFrame, *, as_of: datetime, products: pl.LazyFrame | None = None) -> pl.DataFrame:
    """Sales facts of every product sold before `as_of`, by customers and anonymous visitors alike.

    `products` (product_id, price_minor, competitor_price_minor) gives the gap between these prices.
    """
    lines = _lines(rows_before(history, as_of), as_of)
    span_days = _span_days(lines, as_of)
    statistics = (
        lines.group_by("product_id")
        .agg(
            purchase_count_7d=_count_within(7),
            purchase_count_28d=_count_within(28),
            purchase_count_112d=_count_within(112),
            purchase_count=pl.len(),
            price_mean_minor=pl.col("paid_minor").sum() / pl.col("paid_quantity").sum(),
            last_sold_at=_unix_s(pl.col("time").max()),
        )
        .join(_buyers(lines), on="product_id", how="left")
        .join(_competitor_gaps(products), on="product_id", how="left")
        .with_columns(
            pl.col("buyer_count").fill_null(0),
            # Where no amount is known the mean is 0 / 0: null is served instead of NaN.
            pl.when(pl.col("price_mean_minor").is_finite()).then(pl.col("price_mean_minor")),
            trend_ratio=pl.when(pl.col("purchase_count_112d") > 0).then(
                (pl.col("purchase_count_28d") / min(28.0, span_days))
                / (pl.col("purchase_count_112d") / min(112.0, span_days))
            ),
        )
    )
    return _table(statistics, "product_id", STATISTICS, as_of)


def _competitor_gaps(products: pl.LazyFrame | None) -> pl.DataFrame:
    amounts = ("price_minor", "competitor_price_minor")
    if products is None or not {*amounts} <= {*products.collect_schema()}:
        return pl.DataFrame(schema={"product_id": pl.String, "competitor_price_gap": pl.Float64})
    known = products.filter(pl.col("competitor_price_minor") > 0).unique("product_id", keep="last")
    return known.select("product_id", competitor_price_gap=pl.col(amounts[0]) / pl.col(amounts[1]) - 1).collect()


def rows_before(history: pl.LazyFrame, as_of: datetime) -> pl.LazyFrame:
    """The rows that may be known at `as_of`: time < as_of, or all untimed rows when no such row exists."""
    timed = history.filter(pl.col("time") < as_of)
    if timed.select("time").head(1).collect().is_empty():
        return history.filter(pl.col("time").is_null())
    return timed


def _lines(rows: pl.LazyFrame, as_of: datetime) -> pl.DataFrame:
    """Purchase lines that were kept, one for each customer, basket and product; age_days null without times."""
    priced = pl.col("amount_minor").is_not_null() & (pl.col("quantity") > 0)
    return (
        kept_purchases(counted_once(rows))
        .with_columns(basket=_basket())
        .group_by("customer_id", "basket", "product_id")
        .agg(
            pl.col("time").min(),
            # Whatever the order of the rows, min() gives the same; first() would not.
            pl.col("store_id").drop_nulls().min(),
            pl.col("channel").drop_nulls().min(),
            # Polars sums nothing but nulls to 0: without the condition an unknown amount would become free.
            amount_minor=pl.when(pl.col("amount_minor").count() > 0).then(pl.col("amount_minor").sum()),
            paid_minor=pl.col("amount_minor").filter(priced).sum(),
            paid_quantity=pl.col("quantity").cast(pl.Float64).filter(priced).sum(),
            is_reduced=(pl.col("coupon_id").is_not_null() | (pl.col("discount_minor").fill_null(0) != 0)).any(),
        )
        .with_columns(
            age_days=(pl.lit(as_of) - pl.col("time")).dt.total_microseconds() / (1e6 * _DAY_S),
            day=(_unix_s(pl.col("time")) / _DAY_S).floor(),
        )
        .collect()
    )


def _basket() -> pl.Expr:
    """The basket's name: its id, else who and which day, else the row alone."""
    who = pl.coalesce("customer_id", "anonymous_id")
    # concat_str() is null where one part is, and then the row stands alone.
    day = pl.concat_str(who, pl.col("time").dt.date().cast(pl.String), separator="\x1f")
    return pl.coalesce("basket_id", day, "row_id")


def _unix_s(time: pl.Expr) -> pl.Expr:
    return time.dt.epoch("us") / 1e6


def _seen(rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.select("customer_id").drop_nulls().unique().collect()


def _profile(lines: pl.DataFrame) -> pl.DataFrame:
    amounts, known_channel = pl.col("amount_minor"), pl.col("channel").count()
    days = pl.col("day").n_unique()
    profile = lines.group_by("customer_id").agg(
        first_purchase_at=_unix_s(pl.col("time").min()),
        last_purchase_at=_unix_s(pl.col("time").max()),
        basket_count=pl.col("basket").n_unique(),
        line_count=pl.len(),
        product_count=pl.col("product_id").n_unique(),
        spend_minor=pl.when(amounts.count() > 0).then(amounts.sum()),
        spend_minor_90d=pl.when((amounts.count() > 0) & (pl.col("time").count() > 0)).then(
            amounts.filter(pl.col("age_days") <= 90).sum()
        ),
        visit_interval_days=pl.when(days > 1).then((pl.col("day").max() - pl.col("day").min()) / (days - 1)),
        coupon_share=pl.col("is_reduced").mean(),
        **{
            f"share_{channel}": pl.when(known_channel > 0).then((pl.col("channel") == channel).sum() / known_channel)
            for channel in ("store", "web", "app")
        },
    )
    # Of a product's baskets all but one follow another, so the share needs no order of baskets.
    repeated = pl.col("line_count") - pl.col("product_count")
    return profile.with_columns(
        basket_mean_minor=pl.col("spend_minor") / pl.col("basket_count"),
        repeat_share=repeated / pl.col("line_count"),
    )


def _home_stores(lines: pl.DataFrame) -> pl.DataFrame:
    baskets = lines.lazy().filter(pl.col("store_id").is_not_null()).group_by("customer_id", "store_id")
    # The id decides between stores with as many baskets: the same history always gives the same home store.
    counted = baskets.agg(count=pl.col("basket").n_unique()).sort(
        "customer_id", "count", "store_id", descending=[False, True, False]
    )
    return counted.group_by("customer_id", maintain_order=True).agg(home_store_id=pl.col("store_id").first()).collect()


def _favourite_departments(lines: pl.DataFrame, products: pl.LazyFrame | None) -> pl.DataFrame:
    if products is None or "department" not in products.collect_schema():
        return pl.DataFrame(schema={"customer_id": pl.String, "favourite_departments": pl.List(pl.String)})
    departments = products.select("product_id", "department").drop_nulls().unique("product_id")
    counted = lines.lazy().select("customer_id", "product_id").join(departments, on="product_id")
    ranked = (
        counted.group_by("customer_id", "department")
        .agg(count=pl.len())
        .sort("customer_id", "count", "department", descending=[False, True, False])
    )
    top = ranked.group_by("customer_id", maintain_order=True).agg(favourite_departments=pl.col("department").head(3))
    return top.collect()


def _purchases(lines: pl.DataFrame) -> pl.DataFrame:
    """Parallel arrays per customer, strongest product first: weight over 112 days, count, product id."""
    pairs = (
        lines.lazy()
        .group_by("customer_id", "product_id")
        .agg(
            bought_count=pl.len().cast(pl.Float32),
            bought_weight_28d=_weight(28),
            bought_weight_112d=_weight(112),
            # Day 0 stands for an unknown time, here and in serving.
            bought_first_day=pl.col("day").min().fill_null(0.0),
            bought_last_day=pl.col("day").max().fill_null(0.0),
        )
        # Serving relies on this order: a fold-in uses the first 300 products of a row.
        .sort(
            "customer_id",
            "bought_weight_112d",
            "bought_count",
            "product_id",
            descending=[False, True, True, False],
        )
        .rename({"product_id": "bought_product_ids"})
        # Joins of Polars keep no order by themselves, and the strongest products have to stay first.
        .join(_keys(lines).lazy(), on="bought_product_ids", how="left", maintain_order="left")
    )
    columns = [pl.col(feature.name).head(MAX_BOUGHT_COUNT) for feature in PURCHASES]
    return pairs.group_by("customer_id", maintain_order=True).agg(columns).collect()


def _keys(lines: pl.DataFrame) -> pl.DataFrame:
    """The key of every product that was bought."""
    ids = lines["product_id"].unique()
    # Hashed in Python, so once per product instead of once per customer and product.
    keys = pl.Series("bought_keys", [product_key(name) for name in ids.to_list()], dtype=pl.Float64)
    return pl.DataFrame({"bought_product_ids": ids, "bought_keys": keys})


def _weight(half_life_days: int) -> pl.Expr:
    """Sum over lines of 2^(-age/half-life); without times each line weighs one."""
    decay = pl.lit(2.0).pow(-pl.col("age_days") / half_life_days)
    return decay.fill_null(1.0).sum().cast(pl.Float32)


def _count_within(days: int) -> pl.Expr:
    return pl.when(pl.col("time").count() > 0).then((pl.col("age_days") <= days).sum())


def _buyers(lines: pl.DataFrame) -> pl.DataFrame:
    baskets = lines.filter(pl.col("customer_id").is_not_null()).group_by("product_id", "customer_id").len()
    return baskets.group_by("product_id").agg(buyer_count=pl.len(), repeat_rate=(pl.col("len") >= 2).mean())


def _span_days(lines: pl.DataFrame, as_of: datetime) -> float:
    """Days of sales known before `as_of`, at least one: a young history has no 112 days to compare with."""
    oldest = lines["age_days"].max()
    return max(float(oldest), 1.0) if isinstance(oldest, float) else 1.0


def _table(frame: pl.DataFrame, entity: str, features: Sequence[Feature], as_of: datetime) -> pl.DataFrame:
    schema = table_schema(entity, features)
    stamped = frame.with_columns(event_timestamp=pl.lit(as_of))
    return stamped.select(pl.col(name).cast(dtype) for name, dtype in schema.items()).sort(entity)
