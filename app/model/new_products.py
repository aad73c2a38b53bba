"""The product table applied to a bundle: products newer than training, changed ones and withdrawn ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from app.domain import Floats, Ints, ItemIdx, Mask
from app.feature_fields import product_key
from app.model.bundle import (
    Attribute,
    Bundle,
    Catalogue,
    NewProducts,
    coded,
    unrestricted_among,
    with_unrestricted_index,
)
from app.model.content import LISTED_AT, NEW_FOR, ProductContent
from app.model.goods.age_restricted import TELLING_COLUMNS
from app.model.goods.cards import GROUPS, Cards, cards_of, catalogue_version
from app.model.goods.facts import columns_of, drawn_of, facts_of
from app.model.goods.left_out import left_out_ids
from app.model.keys import KeyTable
from app.model.search.index import SearchIndex, index_of

WITHOUT_HISTORY: Mapping[str, float] = {
    "popularity": 0,
    "repeat_rate": 0,
    "neighbours_idx": -1,
    "neighbours_score": 0,
    "next_idx": -1,
    "next_score": 0,
}
"""Every array of a bundle with a row per item, except the factors, and what it says of a product nobody bought."""

_NO_ITEMS = np.zeros(0, np.int32)
_UNKNOWN = Attribute(_NO_ITEMS, [], {})


def extended(bundle: Bundle, products: pl.DataFrame, *, now: datetime) -> Bundle:
    """`bundle` with this product table: itself when the table says nothing else; the version stays.

    New recommendable products become the last items, placed by their content; with a bundle that learned no content
    they stay out. Items that nobody had bought before training are placed as well while they are new (NEW_FOR), so that
    a training does not end a product's newness. Names, prices and attributes of all items are the table's; new columns
    have to wait for training, but say at once which products are for people of age.
    Extending again goes on from there: items keep their numbers, and what is withdrawn stays as an item not on offer.
    """
    rows = _in_order(bundle, products)
    catalogue = _catalogue(bundle, rows)
    new_products = _new_products(bundle, rows, now=now)
    if catalogue is bundle.catalogue and _same(new_products, bundle.new_products):
        return bundle
    wider = replace(_padded(bundle, rows.height), catalogue=catalogue, new_products=new_products)
    return with_unrestricted_index(wider if new_products is None else _placed(wider, new_products.items))


def _in_order(bundle: Bundle, products: pl.DataFrame) -> pl.DataFrame:
    """A table row for each item, all null where the table has none, then the new products by id."""
    known = pl.DataFrame({"product_id": bundle.catalogue.product_ids}, schema={"product_id": pl.String})
    said = pl.col("recommendable") if "recommendable" in products.columns else pl.lit(None, pl.String)
    # What training took for no goods is nothing new, as long as nobody says `yes`.
    is_hidden = (said == "no").fill_null(pl.col("product_id").is_in(left_out_ids(bundle.manifest)))
    # Of rows with one id the last counts, as in an import.
    table = products.unique("product_id", keep="last").with_columns(is_hidden.alias("is_hidden"))
    fresh = table.filter(~pl.col("is_hidden")).join(known, on="product_id", how="anti").select("product_id")
    ids = pl.concat([known, fresh.sort("product_id")]) if bundle.content is not None else known
    return ids.join(table, on="product_id", how="left", maintain_order="left")


def money_in(products: pl.DataFrame, currency: str | None, *, unknown: int | None) -> pl.DataFrame:
    """The product table with `unknown` for what is in another currency; a row that names none is in this one."""
    if currency is None or "currency" not in products.columns:
        return products
    is_foreign = pl.col("currency") != currency
    money = [name for name in ("price_minor", "unit_cost_minor") if name in products.columns]
    return products.with_columns(
        pl.when(is_foreign).then(pl.lit(unknown, pl.Int64)).otherwise(pl.col(name)).alias(name) for name in money
    )


def _catalogue(bundle: Bundle, rows: pl.DataFrame) -> Catalogue:
    """The catalogue with what the rows say; that of before itself when they say nothing else."""
    before = bundle.catalogue
    names = _names(before.names, rows)
    price_minor = _money(before.price_minor, rows, "price_minor")
    unit_cost_minor = _money(before.unit_cost_minor, rows, "unit_cost_minor")
    is_listed = _listed(rows)
    attributes = {name: _attribute(column, rows, name) for name, column in before.attributes.items()}
    unrestricted = unrestricted_among(names, attributes | _telling_columns(rows, without=attributes))
    cards = _cards(bundle, rows, attributes)
    is_same = (
        cards is before.cards
        and rows.height == len(before.product_ids)
        and names is before.names
        and np.array_equal(price_minor, before.price_minor)
        and np.array_equal(unit_cost_minor, before.unit_cost_minor)
        and np.array_equal(is_listed, before.is_listed)
        and _same_mask(unrestricted, before.unrestricted)
        and all(attributes[name] is column for name, column in before.attributes.items())
    )
    if is_same:
        return before
    changed = replace(
        before,
        names=names,
        price_minor=price_minor,
        unit_cost_minor=unit_cost_minor,
        is_listed=is_listed,
        attributes=attributes,
        unrestricted=unrestricted,
        cards=cards,
        is_as_trained=False,
    )
    later = rows["product_id"][len(before.product_ids) :].to_list()
    return _with_ids(changed, later) if later else changed


def _names(before: Sequence[str | None], rows: pl.DataFrame) -> Sequence[str | None]:
    """The table's names; those that stay the same are not copied."""
    names = rows["name"].to_list() if "name" in rows.columns else [None] * rows.height
    if names[: len(before)] != before:
        return names
    return before if len(names) == len(before) else [*before, *names[len(before) :]]


def _with_ids(catalogue: Catalogue, later: list[str]) -> Catalogue:
    product_ids = [*catalogue.product_ids, *later]
    item_of = dict(catalogue.item_of)
    for item in range(len(item_of), len(product_ids)):
        item_of[product_ids[item]] = ItemIdx(item)
    keys = KeyTable(np.array([product_key(product_id) for product_id in product_ids], np.int64))
    return replace(catalogue, product_ids=product_ids, item_of=item_of, keys=keys)


def _money(before: npt.NDArray[np.int64], rows: pl.DataFrame, column: str) -> npt.NDArray[np.int64]:
    """What the table says, else what training knew: of prices the mean price paid."""
    known = np.full(rows.height, -1, np.int64)
    known[: len(before)] = before
    if column not in rows.columns:
        return known
    amounts: npt.NDArray[np.int64] = rows[column].cast(pl.Int64).fill_null(pl.Series(known)).to_numpy()
    return amounts


def _listed(rows: pl.DataFrame) -> Mask:
    """Where the table has a price: one that it has no more, whatever it was, is not shown."""
    if "price_minor" not in rows.columns:
        return np.zeros(rows.height, np.bool_)
    is_listed: Mask = rows["price_minor"].is_not_null().to_numpy()
    return is_listed


def _cards(bundle: Bundle, rows: pl.DataFrame, attributes: Mapping[str, Attribute]) -> Cards:
    """The cards of the rows; those of before when they and all else that shows stay the same."""
    drawn = drawn_of(rows)
    is_offered = ~rows["is_hidden"].fill_null(False)
    shown = (rows, drawn) if is_offered.all() else (rows.filter(is_offered), drawn.filter(is_offered))
    facts = facts_of(*shown)
    before = bundle.catalogue.cards
    if catalogue_version(bundle.version, facts) == before.version:
        return before
    groups = {name: attributes.get(name) or _attribute(_UNKNOWN, rows, name) for name in GROUPS if name in rows.columns}
    return cards_of(columns_of(drawn, coded(groups)), bundle_version=bundle.version, facts=facts)


def _telling_columns(rows: pl.DataFrame, *, without: Collection[str]) -> dict[str, Attribute]:
    """The columns that say which products are for people of age, as far as the bundle lacks them."""
    names = [name for name in TELLING_COLUMNS if name in rows.columns and name not in without]
    return {name: _attribute(_UNKNOWN, rows, name) for name in names}


def _attribute(before: Attribute, rows: pl.DataFrame, name: str) -> Attribute:
    """The column's codes for all rows; values that the vocabulary lacks go to its end."""
    if name not in rows.columns:
        return _coded(
            before, before.vocabulary, np.pad(before.codes, (0, rows.height - len(before.codes)), constant_values=-1)
        )
    values = rows[name].cast(pl.String)
    # Codes of known values may not move: the content map was learned by them.
    unseen = values.drop_nulls().unique().sort().to_list()
    vocabulary = [*before.vocabulary, *(value for value in unseen if value not in before.code_of)]
    codes = values.cast(pl.Enum(vocabulary)).to_physical().cast(pl.Int32).fill_null(-1).to_numpy()
    return _coded(before, vocabulary, codes)


def _coded(before: Attribute, vocabulary: Sequence[str], codes: Ints) -> Attribute:
    if np.array_equal(codes, before.codes):
        return before
    return Attribute(codes, vocabulary, {value: code for code, value in enumerate(vocabulary)})


def _new_products(bundle: Bundle, rows: pl.DataFrame, *, now: datetime) -> NewProducts | None:
    """Those of before and what is newer now; None when there are none and everything is on offer."""
    earlier = _NO_ITEMS if bundle.new_products is None else bundle.new_products.items
    later = np.arange(bundle.item_count, rows.height, dtype=np.int32)
    items = np.union1d(earlier, np.concatenate([_listed_lately(bundle, rows, now=now), later])).astype(np.int32)
    on_offer = ~rows["is_hidden"].fill_null(False).to_numpy()
    if not len(items) and on_offer.all():
        return None
    return NewProducts(items, None if on_offer.all() else on_offer)


def _listed_lately(bundle: Bundle, rows: pl.DataFrame, *, now: datetime) -> Ints:
    """The bundle's items without a vector, as nobody had bought them, that have not been listed for long."""
    if bundle.content is None or LISTED_AT not in rows.columns:
        return _NO_ITEMS
    # Polars may hand out a view that cannot be written to.
    is_young = (rows[LISTED_AT][: bundle.item_count] > now - NEW_FOR).fill_null(False).to_numpy().copy()
    is_young[bundle.index.items] = False
    return np.flatnonzero(is_young).astype(np.int32)


def _same(one: NewProducts | None, other: NewProducts | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one.items, other.items) and _same_mask(one.on_offer, other.on_offer)


def _same_mask(one: Mask | None, other: Mask | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def _padded(bundle: Bundle, item_count: int) -> Bundle:
    """The bundle with rows in its arrays for products that nobody bought; its catalogue still lacks them."""
    more = item_count - bundle.item_count
    if not more:
        return bundle
    padded: dict[str, Any] = {}
    for name, value in WITHOUT_HISTORY.items():
        array = getattr(bundle, name)
        padded[name] = np.concatenate([array, np.full((more, *array.shape[1:]), value, array.dtype)])
    if bundle.promotions is not None:
        padded["promotions"] = bundle.promotions.extended(item_count)
    return replace(bundle, **padded)


def _placed(bundle: Bundle, items: Ints) -> Bundle:
    """The bundle with its new products where their content puts them, and found by the search.

    The fold-in's gram stays that of training: customers' vectors do not move because a product is announced.
    """
    if bundle.content is None or not len(items):
        return bundle
    catalogue = bundle.catalogue
    described = ProductContent(
        names=[catalogue.names[item] for item in items],
        codes={name: column.codes[items] for name, column in catalogue.attributes.items()},
        price_minor=catalogue.price_minor[items],
    )
    vectors = bundle.content.vectors(described)
    factors = np.zeros((bundle.item_count, bundle.item_factors.shape[1]), np.float32)
    factors[: len(bundle.item_factors)] = bundle.item_factors
    factors[items] = vectors
    factors.setflags(write=False)
    return replace(bundle, item_factors=factors, index=_index_of(bundle, factors, items))


def _index_of(bundle: Bundle, factors: Floats, items: Ints) -> SearchIndex:
    """The index over what it held and `items`, longest vectors first again."""
    # Applying a table again may place a new product elsewhere, so its earlier vector goes first.
    stays = ~np.isin(bundle.index.items, items)
    held = np.concatenate([bundle.index.items[stays], items])
    lengths = np.concatenate([bundle.index.lengths[stays], np.linalg.norm(factors[items], axis=1)])
    order = np.argsort(-lengths, kind="stable")
    return index_of(factors[held[order]], held[order], lengths[order])
