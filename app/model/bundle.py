"""A bundle: one immutable, verified model folder, read into memory between training and decisions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from app.domain import Card, Floats, Ints, ItemIdx, Mask, Selection
from app.errors import BundleMissing, BundleRefused
from app.feature_fields import product_key
from app.model.content import ContentMap, Layout
from app.model.coupons import DOCUMENT as COUPONS_DOCUMENT
from app.model.coupons import CouponModel, coupon_model
from app.model.goods.age_restricted import unrestricted_items
from app.model.goods.cards import DOCUMENT as DRAWN
from app.model.goods.cards import NO_CARDS, Cards, read_cards
from app.model.keys import KeyTable
from app.model.promotions.calendar import PromotionCalendar, read_calendar
from app.model.ranker import RANKER_FILE, TreeRanker
from app.model.replenishment import DOCUMENT, HABITS, RebuyModel, habits_file, rebuy_models
from app.model.search.index import SearchIndex, index_among, index_of
from app.model.verification.arrays import Form, codes_form
from app.model.verification.documents import (
    ALS,
    CATALOGUE,
    CONTENT,
    COUPONS,
    GROUPS,
    PRODUCT_IDS,
    REBUY,
    SCORING,
    Ranker,
)
from app.model.verification.folder import VerifiedFolder, opened
from app.model.verification.manifest import REMEDY
from app.model.verification.parts import BundleParts
from app.settings import ProductSelector

POINTER = "current"
T = TypeVar("T")
UNIT_COSTS = "unit_cost_minor.npy"
LISTED = "price_listed.npy"
ROUNDING = 1e-4
COMPARED_CODES = 4
"""Up to so many values are looked for one by one, in a tenth of a table's time each."""
COLUMN_BYTES_MAX = 150
"""A longer name, or one with a slash, is no name of a file."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One filterable product column: a code per item (-1 = unknown) and what the codes mean."""

    codes: Ints
    vocabulary: Sequence[str]
    code_of: Mapping[str, int]

    def is_one_of(self, values: Iterable[str], items: Ints | None = None) -> Mask:
        """Which of the items (None: all n) have one of these values."""
        codes = self.codes if items is None else self.codes[items]
        wanted = [self.code_of[value] for value in values if value in self.code_of]
        if 0 < len(wanted) <= COMPARED_CODES:
            return reduce(np.logical_or, (codes == code for code in wanted))
        is_wanted = np.zeros(len(self.vocabulary) + 1, np.bool_)
        is_wanted[wanted] = True
        # Code -1 (unknown) reads the last position, which no value sets.
        mask: Mask = is_wanted.take(codes)
        return mask


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The products of one bundle most buyers first; row = ItemIdx. Money is in `currency`, -1 unknown.

    `is_listed` (n,): the price is the product table's, and may be shown; others are the mean of what was paid.
    `unrestricted` (n,): what may be shown to customers of any age; None where that is everything. `is_as_trained`: this
    is all that training read in its product table, and no other table was applied since.
    """

    product_ids: Sequence[str]
    item_of: Mapping[str, ItemIdx]
    names: Sequence[str | None]
    price_minor: npt.NDArray[np.int64]
    unit_cost_minor: npt.NDArray[np.int64]
    attributes: Mapping[str, Attribute]
    currency: str | None
    keys: KeyTable
    is_listed: Mask
    unrestricted: Mask | None = None
    cards: Cards = NO_CARDS
    is_as_trained: bool = True

    def cards_of(self, product_ids: Iterable[str]) -> list[Card]:
        """What is drawn of these products, which the catalogue must hold."""
        draw, item_of = self.cards.of, self.item_of
        return [draw(item_of[product_id]) for product_id in product_ids]

    def known(self, product_ids: Sequence[str]) -> Ints:
        """The items of those products that this bundle holds, in the order given."""
        find = self.item_of.get
        return np.array([item for item in map(find, product_ids) if item is not None], dtype=np.int32)

    def mask_of(self, selected: Selection | ProductSelector, items: Ints | None = None) -> Mask:
        """Which of the items (None: all n) are selected; none where the catalogue lacks the attribute."""
        size = len(self.product_ids) if items is None else len(items)
        if selected.attribute is not None:
            attribute = self.attributes.get(selected.attribute)
            return np.zeros(size, np.bool_) if attribute is None else attribute.is_one_of(selected.values, items)
        if items is not None:
            return np.isin(items, self.known(selected.product_ids))
        mask = np.zeros(size, np.bool_)
        mask[self.known(selected.product_ids)] = True
        return mask

    def none_of(self, selections: Sequence[Selection]) -> Mask:
        """Which of all n items are in none of the selections, of which there is one at least."""
        allowed: Mask = ~np.logical_or.reduce([self.mask_of(one) for one in selections])
        return allowed


@dataclass(frozen=True, slots=True)
class NewProducts:
    """Products that the product table gained or withdrew since training.

    `items` ascending: those that it gained, placed by their content. `on_offer` (n,) is False for what may no longer be
    shown; None while everything may.
    """

    items: Ints
    on_offer: Mask | None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Bundle:
    """One model version, whole. n items, k factors, g groups, m indexed items; arrays are read-only.

    `index` has the m vectors from the longest to the shortest, `unrestricted_index` those that everybody may see.
    """

    version: str
    created_at: datetime
    manifest: Mapping[str, Any]
    catalogue: Catalogue
    item_factors: Floats
    gram: Floats
    index: SearchIndex
    popularity: Floats
    repeat_rate: Floats
    neighbours_idx: Ints
    neighbours_score: Floats
    next_idx: Ints
    next_score: Floats
    linear_idx: Ints
    linear_weight: Floats
    trending_idx: Ints
    trending_score: Floats
    trending_count: Sequence[int]
    group_of: Mapping[str, int]
    als: Mapping[str, Any]
    scoring: Mapping[str, Any]
    ranker: TreeRanker | None = None
    content: ContentMap | None = None
    new_products: NewProducts | None = None
    rebuy: Mapping[str, RebuyModel] = field(default_factory=dict)
    coupons: CouponModel | None = None
    promotions: PromotionCalendar | None = None
    unrestricted_index: SearchIndex | None = None

    @property
    def item_count(self) -> int:
        """How many products this bundle can propose."""
        return len(self.catalogue.product_ids)

    @property
    def linear_weighting(self) -> str:
        """How the linear part weighs purchases (`customer.foldin.strength`); in old bundles as the factors do."""
        return str((self.scoring.get("linear") or {}).get("weighting") or self.als["weighting"])


def current_version(bundles_dir: Path) -> str:
    """The version that the pointer names; raises BundleMissing before the first publication.

    Raises BundleRefused for a pointer that names no folder next to it.
    """
    path = bundles_dir / POINTER
    try:
        version = path.read_bytes().decode().strip()
    except FileNotFoundError:
        raise BundleMissing(f"{bundles_dir} holds no published bundle; run `endcap train` first") from None
    except (OSError, ValueError) as error:
        raise BundleRefused(f"{path} cannot be read ({error!r}); {REMEDY}", reason="pointer") from None
    if not version or version.startswith(".") or "/" in version or not version.isprintable():
        raise BundleRefused(f"{path} names {version[:80]!r}, which is no bundle; {REMEDY}", reason="pointer")
    return version


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies one bundle; raises BundleRefused, which names the file and what is wrong with it.

    All of it is checked before anything is served: every file's bytes against the manifest, every document's and
    array's form, and that the parts fit together.
    """
    with opened(folder) as files:
        found = _bundle(BundleParts(files))
        files.check_nothing_is_left()
    return with_unrestricted_index(found)


def _bundle(parts: BundleParts) -> Bundle:
    files, catalogue = parts.files, _catalogue(parts)
    parts.sizes.state("groups", len(groups := parts.document("groups.json", GROUPS)), "groups.json")
    als, scoring = parts.document("als.json", ALS), parts.document("scoring.json", SCORING)
    item_factors, index_items = parts.array("item_factors.npy"), parts.array("index_items.npy")
    index = _index(files, item_factors, index_items)
    linear_idx, trending_idx = parts.array("linear_idx.npy"), parts.array("trending_idx.npy")
    if len(linear_idx) > len(item_factors):
        raise files.refused("linear_idx.npy", f"has {len(linear_idx):,} rows for {len(item_factors):,} products")
    popularity = parts.array("popularity.npy")
    return Bundle(
        version=files.typed.version,
        created_at=files.typed.created_at,
        manifest=files.manifest,
        catalogue=catalogue,
        item_factors=item_factors,
        gram=_gram(item_factors),
        index=index,
        popularity=popularity,
        repeat_rate=parts.array("repeat_rate.npy"),
        neighbours_idx=parts.array("neighbours_idx.npy"),
        neighbours_score=parts.array("neighbours_score.npy"),
        next_idx=parts.array("next_idx.npy"),
        next_score=parts.array("next_score.npy"),
        linear_idx=linear_idx,
        linear_weight=parts.array("linear_weight.npy"),
        trending_idx=trending_idx,
        trending_count=(trending_idx >= 0).sum(axis=1).tolist(),
        trending_score=parts.array("trending_score.npy"),
        group_of={name: row for row, name in enumerate(groups)},
        als=als.model_dump(),
        scoring=scoring.model_dump(),
        ranker=_ranker(files, scoring.ranker),
        content=_content(parts, catalogue),
        rebuy=_rebuy(parts, catalogue),
        coupons=_coupons(parts),
        promotions=read_calendar(parts, popularity),
    )


def _index(files: VerifiedFolder, item_factors: Floats, index_items: Ints) -> SearchIndex:
    """The vectors in the index's order, which the search relies on: of the first products all, lengths never rising."""
    if len(index_items) > len(item_factors) or not np.array_equal(np.sort(index_items), np.arange(len(index_items))):
        raise files.refused("index_items.npy", "does not hold each of the first products once")
    if item_factors[len(index_items) :].any():
        raise files.refused("index_items.npy", "lacks products that have a vector in item_factors.npy")
    vectors = item_factors[index_items]
    lengths: Floats = np.linalg.norm(vectors, axis=1)
    # Another processor may round the last digits in another way.
    if (np.diff(lengths) > ROUNDING * lengths[:-1]).any():
        raise files.refused(
            "index_items.npy", "does not run from the longest vector of item_factors.npy to the shortest"
        )
    return index_of(vectors, index_items, lengths)


def with_unrestricted_index(bundle: Bundle) -> Bundle:
    """The bundle with an index of what may be shown to everybody; without one where that is everything."""
    unrestricted = bundle.catalogue.unrestricted
    index = None if unrestricted is None else index_among(bundle.index, unrestricted)
    return replace(bundle, unrestricted_index=index)


def _ranker(files: VerifiedFolder, described: Ranker | None) -> TreeRanker | None:
    """The trees; None where training found that the linear blend alone ranks as well."""
    if (described is None) == files.has(RANKER_FILE):
        has = "has" if described is None else "lacks"
        raise files.refused(RANKER_FILE, f"does not go with scoring.json: the bundle {has} trees, its scoring does not")
    if described is None:
        return None
    try:
        return TreeRanker(
            files.read(RANKER_FILE),
            described.columns,
            slope=described.slope,
            intercept=described.intercept,
            ranks_new=described.ranks_new,
        )
    except BundleRefused:
        raise
    except Exception as error:  # noqa: BLE001 - the border of CatBoost's reader, whose errors have no common type
        raise files.refused(RANKER_FILE, f"holds no trees for scoring.json's columns ({error})") from None


def _content(parts: BundleParts, catalogue: Catalogue) -> ContentMap | None:
    """None where training had no product table to learn from."""
    if not parts.files.has("content.json"):
        return None
    described = parts.document("content.json", CONTENT)
    if unknown := set(described.columns) - set(catalogue.attributes):
        raise parts.files.refused("content.json", f"uses {min(unknown)!r}, which catalogue.json does not have")
    layout = Layout(described.columns, described.price_edges, described.token_count)
    parts.sizes.state("content features", layout.feature_count, "content.json")
    return ContentMap(layout, parts.array("content_weights.npy"), described.listed_at)


def _rebuy(parts: BundleParts, catalogue: Catalogue) -> dict[str, RebuyModel]:
    """Per level a model; empty where training found too few repeat purchases, and in older bundles."""
    if not parts.files.has(DOCUMENT):
        return {}
    category = catalogue.attributes.get("category")
    # One row more than groups, for those that training did not know.
    parts.sizes.state("product habits", len(catalogue.product_ids) + 1, "product_ids.json")
    parts.sizes.state("category habits", 1 + len(category.vocabulary if category else ()), "catalogue.json")

    def habits(level: str) -> Floats:
        return parts.array(f"{habits_file(level)}.npy", Form(np.float32, (f"{level} habits", len(HABITS))))

    models: dict[str, dict[str, object]] = {
        level: one.model_dump() for level, one in parts.document(DOCUMENT, REBUY).items()
    }
    return _named(parts.files, lambda: rebuy_models(models, habits))


def _coupons(parts: BundleParts) -> CouponModel | None:
    """None where training found too few redemptions, and in older bundles."""
    if not parts.files.has(COUPONS_DOCUMENT):
        return None
    return _named(parts.files, lambda: coupon_model(parts.document(COUPONS_DOCUMENT, COUPONS).model_dump()))


def _named(files: VerifiedFolder, make: Callable[[], T]) -> T:
    """What `make` makes; where it refuses by the file alone, the refusal names the bundle and the remedy, too."""
    try:
        return make()
    except BundleRefused as error:
        if REMEDY in error.message:
            raise
        raise BundleRefused(f"{files.path / error.message}; {REMEDY}") from None


def _gram(item_factors: Floats) -> Floats:
    """YᵀY (k, k), the part of every fold-in that no customer changes."""
    return np.ascontiguousarray(item_factors.T @ item_factors)


def attribute_array(column: str) -> str:
    """The name of the array with the codes of a column of products, which retailers call as they like."""
    is_file_name = not set("/\0") & set(column) and len(column.encode()) <= COLUMN_BYTES_MAX
    return f"attribute_{column if is_file_name else blake2b(column.encode(), digest_size=12).hexdigest()}"


def _catalogue(parts: BundleParts) -> Catalogue:
    product_ids = parts.document("product_ids.json", PRODUCT_IDS)
    parts.sizes.state("products", count := len(product_ids), "product_ids.json")
    described = parts.document("catalogue.json", CATALOGUE)
    if len(described.names) != count:
        raise parts.files.refused("catalogue.json", f"has {len(described.names):,} names for {count:,} products")
    attributes = {}
    for column, vocabulary in described.attributes.items():
        size = f"values of {column!r}"
        parts.sizes.state(size, len(vocabulary), "catalogue.json")
        codes = parts.array(f"{attribute_array(column)}.npy", codes_form(size))
        attributes[column] = Attribute(codes, vocabulary, {value: code for code, value in enumerate(vocabulary)})
    keys = np.array([product_key(product_id) for product_id in product_ids], np.int64)
    # Without a product table, or one with such a column, and in older bundles: no cost known, no price listed.
    unit_costs = parts.array(UNIT_COSTS) if parts.files.has(UNIT_COSTS) else np.full(count, -1, np.int64)
    is_listed = parts.array(LISTED) if parts.files.has(LISTED) else np.zeros(count, np.bool_)
    return Catalogue(
        product_ids=product_ids,
        item_of={product_id: ItemIdx(item) for item, product_id in enumerate(product_ids)},
        names=described.names,
        price_minor=parts.array("price_minor.npy"),
        unit_cost_minor=unit_costs,
        attributes=attributes,
        currency=described.currency,
        keys=KeyTable(keys),
        is_listed=is_listed,
        unrestricted=unrestricted_among(described.names, attributes),
        cards=read_cards(parts, coded(attributes)),
        is_as_trained=parts.files.has(DRAWN),
    )


def unrestricted_among(names: Sequence[str | None], attributes: Mapping[str, Attribute]) -> Mask | None:
    """`Catalogue.unrestricted` of these products."""
    return unrestricted_items(names, coded(attributes))


def coded(attributes: Mapping[str, Attribute]) -> dict[str, tuple[Ints, Sequence[str]]]:
    """Their codes and what these mean."""
    return {name: (one.codes, one.vocabulary) for name, one in attributes.items()}
