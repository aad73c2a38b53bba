"""What is sold and no goods: postage, deposits, bags, discounts; found by evidence in history and product table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl

from app.domain import REFUND, TRADES
from app.model.goods.charges import OTHERS, PARTS, WHOLE

MIN_LINES = 10
"""Of fewer lines prices and shares say nothing."""
PRICE_RATIO = 8
"""So many times its cheapest 5 % the dearest 5 % of a product's pieces cost: of goods few, and those by weight."""
MOST_RATIO = 0.5
"""More of its lines are returns: a discount. Where more of all lines are free, nobody has said what they cost."""
FREE_RATIO = 0.9
"""So many of its lines are free: a sample, a coupon. Gifts with a purchase make goods free now and then."""
GROUPED_RATIO = 0.8
"""Where fewer products have a category or department, to have neither says nothing."""
BASKET_RATIO, ONE_RATIO, MIN_BASKETS = 0.03, 0.95, 100
"""In so many of all baskets, and one piece in so many of its lines: a bag, or a charge for each order."""
MAX_LISTED = 100
GROUPS = ("category", "department")
ID, NAME, CATEGORY = "its id says so", "its name says so", "its category says so"
FREE = "{free:.0%} of its lines are free"
UNGROUPED = "no category, which most products have"
DESCRIBED = ("name", *GROUPS, "recommendable")


@dataclass(frozen=True, slots=True)
class NonGood:
    """A product that looks like no goods, how many lines it has, why, and whether that is enough to leave it out."""

    product_id: str
    name: str | None
    lines: int
    evidence: tuple[str, ...]
    is_left_out: bool


def find_non_goods(history: pl.LazyFrame, products: pl.DataFrame | None) -> list[NonGood]:
    """What looks like no goods: first those to be left out, then by falling lines and by id.

    To be left out is what its id or name says to be none and a second thing speaks against, and what costs nothing and
    has neither name nor category. Words alone are only worth a look, and so is a category that says so, or that is
    missing, together with the way in which a product is sold. A value in `recommendable` is the retailer's decision: no
    look at those.
    """
    signs = _signs()
    says_so = pl.col(ID) | pl.col(NAME)
    has_two = pl.sum_horizontal(list(signs)) >= 2
    is_free_of_all = pl.col(FREE) & pl.col(UNGROUPED) & pl.col("name").is_null()
    found = (
        _facts(history, products)
        .filter(pl.col("recommendable").is_null())
        .with_columns(sign.fill_null(False).alias(text) for text, sign in signs.items())
        .filter(says_so | ((pl.col(CATEGORY) | pl.col(UNGROUPED)) & has_two))
        .with_columns(is_left_out=(says_so & has_two) | is_free_of_all)
        .sort("is_left_out", "lines", "product_id", descending=[True, True, False])
        .collect()
    )
    return [
        NonGood(
            row["product_id"],
            row["name"],
            row["lines"],
            tuple(text.format(**row) for text in signs if row[text]),
            row["is_left_out"],
        )
        for row in found.iter_rows(named=True)
    ]


def non_goods_document(non_goods: Sequence[NonGood]) -> list[dict[str, object]]:
    """All that are left out, and of those worth a look the first MAX_LISTED, as a manifest lists them."""
    out = [one for one in non_goods if one.is_left_out]
    return [asdict(one) for one in [*out, *non_goods[len(out) :][:MAX_LISTED]]]


def _signs() -> dict[str, pl.Expr]:
    """What speaks against a product, by the words that say so with its figures."""
    has_lines = pl.col("lines") + pl.col("returns") >= MIN_LINES
    ungrouped = pl.all_horizontal(pl.col(name).is_null() for name in GROUPS)
    return {
        ID: _says_so("product_id"),
        # Where the name is the id, it says nothing more.
        NAME: _says_so("name") & (_form("name") != _form("product_id")),
        CATEGORY: pl.any_horizontal(_says_so(name) for name in GROUPS),
        "some pieces cost {price_ratio:.0f} times as much as others": has_lines
        & (pl.col("price_ratio") >= PRICE_RATIO),
        FREE: has_lines & (pl.col("free") >= FREE_RATIO) & (pl.col("all_free") < MOST_RATIO),
        "{returned:.0%} of its lines are returns": has_lines & (pl.col("returned") >= MOST_RATIO),
        "one piece each in {in_baskets:.0%} of all baskets": (pl.col("all_baskets") >= MIN_BASKETS)
        & (pl.col("in_baskets") >= BASKET_RATIO)
        & (pl.col("one") >= ONE_RATIO),
        UNGROUPED: ungrouped & (pl.col("grouped") >= GROUPED_RATIO),
    }


def _facts(history: pl.LazyFrame, products: pl.DataFrame | None) -> pl.LazyFrame:
    """A row per product that was traded or is in the table: its words, and what its lines are like."""
    quantity, amount = pl.col("quantity").fill_null(1), pl.col("amount_minor")
    is_return = ((pl.col("type") == REFUND) | (quantity < 0) | (amount < 0)).fill_null(False)
    trades = history.filter(pl.col("type").is_in(list(TRADES)) & pl.col("product_id").is_not_null())
    bought = trades.filter(~is_return)
    price = (amount / quantity).filter((amount > 0) & (quantity > 0))
    lines = bought.group_by("product_id").agg(
        pl.len().alias("lines"),
        (amount == 0).mean().alias("free"),
        (quantity == 1).mean().alias("one"),
        (price.quantile(0.95) / price.quantile(0.05)).alias("price_ratio"),
        pl.col("basket_id").drop_nulls().n_unique().alias("baskets"),
    )
    returns = trades.filter(is_return).group_by("product_id").agg(pl.len().alias("returns"))
    described = _described(products)
    grouped = described.select(pl.any_horizontal(pl.col(name).is_not_null() for name in GROUPS).mean().alias("grouped"))
    whole = bought.select(
        pl.col("basket_id").drop_nulls().n_unique().alias("all_baskets"), (amount == 0).mean().alias("all_free")
    )
    return (
        described.join(lines, on="product_id", how="full", coalesce=True)
        .join(returns, on="product_id", how="full", coalesce=True)
        .join(grouped, how="cross")
        .join(whole, how="cross")
        .with_columns(pl.col("lines", "returns").fill_null(0))
        .with_columns(
            (pl.col("returns") / (pl.col("lines") + pl.col("returns"))).alias("returned"),
            (pl.col("baskets") / pl.col("all_baskets")).alias("in_baskets"),
        )
    )


def _described(products: pl.DataFrame | None) -> pl.LazyFrame:
    """What the table says of each product, null where it lacks the column; of rows with one id the last counts."""
    if products is None:
        return pl.LazyFrame(schema=dict.fromkeys(("product_id", *DESCRIBED), pl.String))
    columns = [pl.col(name) if name in products.columns else pl.lit(None).alias(name) for name in DESCRIBED]
    return products.lazy().unique("product_id", keep="last").select("product_id", *columns).cast(pl.String)


def _form(column: str) -> pl.Expr:
    """The words in lower case, parted by one space each."""
    return pl.col(column).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()


def _says_so(column: str) -> pl.Expr:
    """True where the text is such a word, or has such a part and none that makes it goods after all."""
    words = _form(column)
    has_part, is_other = (words.str.contains(rf"\b(?:{'|'.join(parts)})\b") for parts in (PARTS, OTHERS))
    return words.is_in(list(WHOLE)) | (has_part & ~is_other)
