"""History and product table become arrays here: the first step of every training run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from app.domain import Floats, Ints, Mask
from app.history.counted import counted_once
from app.history.rows import CURRENCY
from app.model.new_products import money_in
from app.settings import Settings
from training.data.non_goods import NonGood, find_non_goods
from training.data.promotions import PlacedLines, Promotions, load_promotions
from training.data.purchases import kept_purchases

Days = npt.NDArray[np.float64]
"""Instants as days since 1970-01-01 UTC, with fractions."""

POSITIVE_EVENTS = (
    "view_item",
    "select_item",
    "add_to_cart",
    "add_to_wishlist",
    "begin_checkout",
    "scan_item",
)
"""What counts as interest; refunds, removals and impressions do not."""

MAX_VOCABULARY = 5000
"""A further text column with more distinct values describes single products, not groups of them."""

ALWAYS_ATTRIBUTES = ("brand", "department", "category")
NEVER_ATTRIBUTES = (
    "product_id", "name", "image_url", "url", "rating", "rating_count", "recommendable", "currency",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attribute:
    """One catalogue column: `codes` int32 (n) point into `vocabulary`, -1 = missing."""

    vocabulary: list[str]
    codes: Ints


@dataclass(frozen=True, slots=True)
class ProductTable:
    """What is known of the n products, in the dataset's order. Money int64 (n), -1 = unknown.

    `is_listed`: the price is the product table's; others are the mean of what was paid. `rows`: the table's own, None
    without one.
    """

    names: list[str | None]
    attributes: Mapping[str, Attribute]
    price_minor: npt.NDArray[np.int64]
    unit_cost_minor: npt.NDArray[np.int64]
    is_listed: Mask
    rows: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Views:
    """What was viewed and bought where more is viewed than bought, one value per event, by time.

    `visitor` int32 codes of the dataset's customers, -1 for those who never bought; `session`, `item` int32; `day` as
    there.
    """

    visitor: Ints
    session: Ints
    item: Ints
    day: Days

    def before(self, day: float) -> "Views":
        """Those of before `day`."""
        count = int(self.day.searchsorted(day))
        return Views(self.visitor[:count], self.session[:count], self.item[:count], self.day[:count])


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that training reads. Lines are distinct (basket, product) pairs in parallel arrays, by time.

    Where nothing was ever bought (`has_purchases` false), lines are views: (session, product, instant).

    `product_ids` (n) run by falling number of buyers (ties: viewers, id); the first `bought_item_count` have lines.
    `customer`, `item`, `basket`, `store` int32 codes per line (`store` -1 = unknown); `day` float64, zero
    everywhere without timestamps; `quantity` float32. `customer_ids` never leave training. `promotions` are whole at
    every cut: those to come are known, what they sold is not. `non_goods` are no products here as far as left out.
    """

    product_ids: list[str]
    bought_item_count: int
    customer_ids: list[str]
    store_ids: list[str]
    customer: Ints
    item: Ints
    basket: Ints
    store: Ints
    day: Days
    quantity: Floats
    has_time: bool
    has_purchases: bool
    as_of_day: float
    catalogue: ProductTable
    views: Views | None = None
    promotions: Promotions | None = None
    non_goods: Sequence[NonGood] = ()

    @property
    def line_count(self) -> int:
        """Number of distinct (basket, product) pairs."""
        return len(self.item)

    def only(self, lines: npt.NDArray[np.bool_], *, as_of_day: float) -> "Dataset":
        """The same products and codes with a part of the lines, seen from `as_of_day`."""
        columns = ("customer", "item", "basket", "store", "day", "quantity")
        kept = {name: getattr(self, name)[lines] for name in columns}
        # The views end there, too: later ones would know what is bought next.
        views = None if self.views is None else self.views.before(as_of_day)
        return replace(self, **kept, as_of_day=as_of_day, views=views)


@dataclass(frozen=True, slots=True)
class Pairs:
    """One value per distinct (customer, item), by customer, then item; `last_day` of the newest line.

    `count` = distinct baskets. `weight_*` = sums over lines of 2^(-age/half-life); without time `count`.
    """

    customer: Ints
    item: Ints
    count: Floats
    weight_28d: Floats
    weight_112d: Floats
    last_day: Days


def product_table(settings: Settings) -> pl.LazyFrame | None:
    """The imported products, one row each; None when none were ever imported."""
    path = settings.tables_dir / "products.parquet"
    return pl.scan_parquet(path) if path.exists() else None


def load_interactions(history: pl.LazyFrame | pl.DataFrame, products: pl.DataFrame | None) -> Dataset:
    """The dataset of a history (columns of the history table) and an optional product table.

    Purchases are the interactions, each once however often it was reported; where there are none at all, every
    positive event is one. A customer is
    the customer id, else the anonymous id, else the basket. Products marked `recommendable` = "no" are left
    out entirely, and so is what is plainly no goods. Money in another currency than most rows' is unknown. An empty
    history gives a dataset without lines.
    """
    history = counted_once(history.lazy())
    currency = history_currency(history)
    products = None if products is None else money_in(products, currency, unknown=None)
    rows_in_currency = _in_currency(history, currency)
    non_goods = find_non_goods(rows_in_currency, products)
    products = _with_hidden(products, [one.product_id for one in non_goods if one.is_left_out])
    shown = _without_hidden(rows_in_currency, products)
    rows, has_purchases = _positive(shown)
    lines = _lines(rows, repeats=not has_purchases)
    views = _views(shown, line_count=lines.height) if has_purchases else None
    known = _product_order(lines, products, views)
    codes = pl.DataFrame(
        {"product_id": pl.Series(known, dtype=pl.String), "item": np.arange(len(known), dtype=np.int32)}
    )
    coded = lines.join(codes, on="product_id", maintain_order="left")
    customer_ids, customer = _encode(coded["customer"])
    store_ids, store = _encode(coded["store_id"])
    has_time = coded.height > 0 and coded["day"].null_count() < coded.height
    day = coded["day"].fill_null(0.0).to_numpy()
    return Dataset(
        product_ids=known,
        bought_item_count=coded["item"].n_unique(),
        customer_ids=customer_ids,
        store_ids=store_ids,
        customer=customer,
        item=coded["item"].to_numpy(),
        basket=_encode(coded["basket"])[1],
        store=store,
        day=day,
        quantity=coded["quantity"].to_numpy(),
        has_time=has_time,
        has_purchases=has_purchases,
        # Just after the last line, so that `day < as_of_day` holds for all of them.
        as_of_day=float(np.nextafter(day.max(), np.inf)) if has_time else 0.0,
        catalogue=_catalogue(codes, products, paid=_paid_price(coded)),
        views=None if views is None else _coded_views(views, codes, customer_ids),
        non_goods=non_goods,
    )


def with_promotions(dataset: Dataset, tables_dir: Path) -> Dataset:
    """The dataset with the promotions of its products that were imported, if any were."""
    lines = PlacedLines(dataset.item, dataset.store, dataset.day)
    return replace(dataset, promotions=load_promotions(tables_dir, dataset.product_ids, dataset.store_ids, lines))


def history_currency(history: pl.LazyFrame) -> str | None:
    """The currency of most rows; None when none names one."""
    # The name decides between currencies of as many rows, so that equal runs give equal bundles.
    counted = history.filter(pl.col(CURRENCY).is_not_null()).group_by(CURRENCY).len().sort("len", CURRENCY)
    currencies = counted.collect(engine="streaming")[CURRENCY].to_list()
    return str(currencies[-1]) if currencies else None


def _in_currency(rows: pl.LazyFrame, currency: str | None) -> pl.LazyFrame:
    """The rows without the amounts of those in another currency."""
    is_foreign = pl.col(CURRENCY) != pl.lit(currency, pl.String)
    return rows.with_columns(amount_minor=pl.when(is_foreign).then(None).otherwise(pl.col("amount_minor")))


def purchase_pairs(dataset: Dataset) -> Pairs:
    """The dataset's lines summed up per customer and item, as of `dataset.as_of_day`."""
    # Customers times products passes int32.
    key = dataset.customer.astype(np.int64) * max(len(dataset.product_ids), 1) + dataset.item
    distinct, position = np.unique(key, return_inverse=True)
    customer, item = np.divmod(distinct, max(len(dataset.product_ids), 1))
    age = dataset.as_of_day - dataset.day
    last_day = np.full(len(distinct), -np.inf)
    # A plain indexed assignment would keep one line of a pair, not the largest.
    np.maximum.at(last_day, position, dataset.day)

    def summed(half_life_days: float) -> Floats:
        weight = np.exp2(-age / half_life_days) if dataset.has_time else np.ones(len(age))
        return np.bincount(position, weight, len(distinct)).astype(np.float32)

    return Pairs(
        customer=customer.astype(np.int32),
        item=item.astype(np.int32),
        count=np.bincount(position, minlength=len(distinct)).astype(np.float32),
        weight_28d=summed(28),
        weight_112d=summed(112),
        last_day=last_day,
    )


def _with_hidden(products: pl.DataFrame | None, product_ids: Sequence[str]) -> pl.DataFrame | None:
    """The table with these products as not recommendable, and nothing else known of them."""
    if not product_ids:
        return products
    hidden = pl.DataFrame({"product_id": product_ids}).with_columns(recommendable=pl.lit("no"))
    if products is None:
        return hidden
    others = products.filter(~pl.col("product_id").is_in(product_ids))
    return pl.concat([others, hidden], how="diagonal_relaxed")


def _without_hidden(history: pl.LazyFrame, products: pl.DataFrame | None) -> pl.LazyFrame:
    rows = history.filter(pl.col("product_id").is_not_null())
    if products is None or "recommendable" not in products.columns:
        return rows
    return rows.filter(~pl.col("product_id").is_in(products.filter(_hidden())["product_id"].to_list()))


def _hidden() -> pl.Expr:
    return pl.col("recommendable").str.strip_chars().str.to_lowercase().fill_null("yes") == "no"


def _positive(rows: pl.LazyFrame) -> tuple[pl.LazyFrame, bool]:
    """Purchases that were kept, or all positive events where nothing was bought; which of them."""
    if rows.filter(pl.col("type") == "purchase").head(1).collect().is_empty():
        return rows.filter(pl.col("type").is_in(POSITIVE_EVENTS)), False
    return kept_purchases(rows), True


def _views(rows: pl.LazyFrame, *, line_count: int) -> pl.DataFrame | None:
    """All positive events in their sessions; None where less is viewed than bought, or nobody knows when."""
    events = rows.filter(pl.col("type").is_in([*POSITIVE_EVENTS, "purchase"]) & pl.col("time").is_not_null())
    view_count = events.filter(pl.col("type") != "purchase").select(pl.len()).collect().item()
    if not view_count or view_count < line_count:
        return None
    # In place of the basket, or a purchase would be torn from the session of views that led to it.
    return _lines(events.with_columns(basket_id=pl.col("session_id")), repeats=True)


def _coded_views(views: pl.DataFrame, codes: pl.DataFrame, customer_ids: Sequence[str]) -> Views:
    coded = views.join(codes, on="product_id", maintain_order="left")
    buyers = pl.DataFrame({"customer": customer_ids, "code": np.arange(len(customer_ids), dtype=np.int32)})
    visitor = coded.select("customer").join(buyers, on="customer", how="left", maintain_order="left")["code"]
    return Views(
        visitor.fill_null(-1).to_numpy(),
        _encode(coded["basket"])[1],
        coded["item"].to_numpy(),
        coded["day"].to_numpy(),
    )


def _lines(rows: pl.LazyFrame, *, repeats: bool) -> pl.DataFrame:
    """Distinct (customer, basket, product) by first instant; a day is a basket where none is named.

    With `repeats` each instant counts: coming back to a product within a session means interest.
    """
    day = pl.col("time").dt.epoch("us") / 86_400e6
    own_basket = pl.coalesce("basket_id", "session_id")
    # A made-up name begins with a NUL, so that it is not taken for an id of the retailer's.
    customer = pl.coalesce("customer_id", "anonymous_id", pl.format("\x00{}", own_basket), pl.lit("\x00"))
    return (
        rows.select(
            "product_id",
            "store_id",
            customer.alias("customer"),
            pl.coalesce(own_basket, pl.format("\x00{}", day.floor()), pl.lit("\x00")).alias("basket"),
            day.alias("day"),
            pl.col("quantity").fill_null(1).cast(pl.Float32),
            "amount_minor",
        )
        .group_by("customer", "basket", "product_id", *(["day"] if repeats else []))
        .agg(
            *([] if repeats else [pl.col("day").min()]),
            pl.col("store_id").drop_nulls().first(),
            pl.col("quantity", "amount_minor").sum(),
        )
        # Baskets of two customers with one name stay two baskets.
        .with_columns(pl.format("{}\x00{}", "customer", "basket").alias("basket"))
        # group_by() gives rows in any order: splits and learners rely on lines by time, equal runs on all three keys.
        .sort("day", "basket", "product_id", nulls_last=False)
        .collect()
    )


def _product_order(lines: pl.DataFrame, products: pl.DataFrame | None, views: pl.DataFrame | None) -> list[str]:
    people = [_people(lines, "buyers")]
    if views is not None:
        people.append(_people(views, "viewers"))
    if products is not None:
        shown = products.filter(~_hidden()) if "recommendable" in products.columns else products
        people.append(shown.select("product_id").unique())
    # Who has no buyers or no viewers gets nulls from the diagonal, which sum() takes for 0.
    table = pl.concat(people, how="diagonal").group_by("product_id").sum()
    by = [name for name in ("buyers", "viewers") if name in table.columns]
    order = table.sort(*by, "product_id", descending=[*[True] * len(by), False])
    return order["product_id"].to_list()


def _people(lines: pl.DataFrame, name: str) -> pl.DataFrame:
    return lines.group_by("product_id").agg(pl.col("customer").n_unique().cast(pl.Int64).alias(name))


def _encode(values: pl.Series) -> tuple[list[str], Ints]:
    """Distinct values sorted, and each row's position among them; null = -1."""
    vocabulary = values.drop_nulls().unique().sort()
    positions = pl.DataFrame({"value": vocabulary, "code": np.arange(len(vocabulary), dtype=np.int32)})
    # Codes go back to their rows by position: without maintain_order Polars may return them in another order.
    coded = pl.DataFrame({"value": values}).join(positions, on="value", how="left", maintain_order="left")
    return vocabulary.to_list(), coded["code"].fill_null(-1).to_numpy().astype(np.int32)


def _paid_price(lines: pl.DataFrame) -> pl.DataFrame:
    """Mean paid price of one piece, for products whose price no table states."""
    paid = lines.filter((pl.col("quantity") > 0) & (pl.col("amount_minor") > 0)).group_by("product_id")
    return paid.agg((pl.col("amount_minor").sum() / pl.col("quantity").sum()).round().cast(pl.Int64).alias("paid"))


def _catalogue(codes: pl.DataFrame, products: pl.DataFrame | None, *, paid: pl.DataFrame) -> ProductTable:
    table = codes.join(paid, on="product_id", how="left", maintain_order="left")
    if products is not None:
        # Of rows with one id the last counts, as in an import.
        listed_products = products.unique("product_id", keep="last")
        table = table.join(listed_products, on="product_id", how="left", maintain_order="left", suffix="_listed")
    listed = pl.col("price_minor") if "price_minor" in table.columns else pl.lit(None, pl.Int64)
    names = table["name"].to_list() if "name" in table.columns else [None] * table.height
    further = [] if products is None else [name for name in products.columns if _groups_products(products[name])]
    attributes = {name: Attribute(*_encode(table[name].cast(pl.String))) for name in further}
    cost = pl.col("unit_cost_minor") if "unit_cost_minor" in table.columns else pl.lit(None)
    money = table.select(
        pl.coalesce(listed, "paid").fill_null(-1).cast(pl.Int64).alias("price"),
        cost.cast(pl.Int64).fill_null(-1).alias("cost"),
        listed.is_not_null().alias("is_listed"),
    )
    prices, costs, are_listed = (money[name].to_numpy() for name in ("price", "cost", "is_listed"))
    return ProductTable(names, attributes, prices, costs, are_listed, rows=None if products is None else table)


def _groups_products(column: pl.Series) -> bool:
    if column.name in NEVER_ATTRIBUTES or column.null_count() == len(column):
        return False
    return column.name in ALWAYS_ATTRIBUTES or (column.dtype == pl.String and column.n_unique() <= MAX_VOCABULARY)
