"""What a product feed says other than it did the time before."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field

import polars as pl

from app.imports.catalogue import parse_rows
from app.imports.checked import check, without_ignored
from app.imports.plan import Plan, opened
from app.stores.tables.layers import PRODUCTS

KEY = PRODUCTS.key
SHOWN_COUNT = 1000
"""So many products of each kind are named; the counts are of all."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The sound products of a feed, one row each, and the ids of all that it names, the faulty ones among them."""

    products: pl.DataFrame
    named: frozenset[str]
    is_whole: bool
    """False where there are lines that cannot be read: what they name is not known."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Products by what became of them; the first SHOWN_COUNT of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    new: Sequence[str] = ()
    changed: Sequence[str] = ()
    gone: Sequence[str] = ()
    prices: Sequence[dict[str, object]] = ()
    """`product_id`, `before`, `after` in minor units, and `currency`."""

    def to_dict(self) -> dict[str, object]:
        """The same in plain JSON types."""
        return asdict(self)


def read_feed(plans: Sequence[Plan], *, currency: str) -> Feed:
    """The products of the planned files."""
    frames, named, is_whole = [], set[str](), True
    for plan in plans:
        for block in opened(plan).blocks:
            kept, _ = without_ignored(block)
            parsed = parse_rows(kept, PRODUCTS, default_currency=currency)
            named.update(parsed[KEY].values.drop_nulls())
            is_whole = is_whole and not block.broken
            frames.append(check(kept, parsed).frame)
    products = pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema={KEY: pl.String})
    return Feed(products.unique(KEY, keep="last").sort(KEY), frozenset(named), is_whole)


def changes_of(before: pl.DataFrame, feed: Feed, gone: Collection[str]) -> Changes:
    """What the feed changes, compared with its products of before."""
    after = feed.products
    new = after.join(before, on=KEY, how="anti")[KEY]
    shared = [name for name in after.columns if name in before.columns and name != KEY]
    both = after.join(before.select(KEY, *shared), on=KEY, how="inner", suffix=" before")
    differs = [pl.col(name).ne_missing(pl.col(f"{name} before")) for name in shared]
    changed = both.filter(pl.any_horizontal(differs)) if differs else both.clear()
    prices = pl.DataFrame()
    if "price" in shared:
        moved = changed.filter(pl.col("price").ne_missing(pl.col("price before")))
        prices = moved.select(KEY, pl.col("price before").alias("before"), pl.col("price").alias("after"), "currency")
    counts = {"new": len(new), "changed": changed.height, "gone": len(gone), "prices": prices.height}
    return Changes(
        counts,
        new.head(SHOWN_COUNT).to_list(),
        changed[KEY].head(SHOWN_COUNT).to_list(),
        sorted(gone)[:SHOWN_COUNT],
        prices.head(SHOWN_COUNT).to_dicts(),
    )
