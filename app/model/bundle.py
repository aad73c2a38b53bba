"""A bundle: one immutable, verified model folder, read into memory between training and decisions.

No byte is used before its SHA-256 was compared with the manifest: FAISS and numpy load damaged files without complaint.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import orjson

from app.domain import Floats, Ints, ItemIdx, Mask, Selection
from app.errors import BundleMissing, BundleRefused
from app.feature_fields import product_key
from app.model.content import ContentMap, Layout
from app.model.coupons import DOCUMENT as COUPONS_DOCUMENT
from app.model.coupons import CouponModel, coupon_model
from app.model.keys import KeyTable
from app.model.ranker import RANKER_FILE, TreeRanker
from app.model.replenishment import DOCUMENT, RebuyModel, habits_file, rebuy_models
from app.settings import ProductSelector

SCHEMA_VERSION = 2
POINTER = "current"
UNIT_COSTS = "unit_cost_minor.npy"
LISTED = "price_listed.npy"
HEAD_COUNTS = (3_000, 8_000, 16_000)
"""Longest vectors that a search looks at first; of 68,077 the first 3,000 settle 63 to 92 % of customers' best 60."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One filterable product column: a code per item (-1 = unknown) and what the codes mean."""

    codes: Ints
    vocabulary: Sequence[str]
    code_of: Mapping[str, int]

    def is_one_of(self, values: Iterable[str], items: Ints | None = None) -> Mask:
        """Which of the items (None: all n) have one of these values."""
        is_wanted = np.zeros(len(self.vocabulary) + 1, np.bool_)
        is_wanted[[self.code_of[value] for value in values if value in self.code_of]] = True
        # Code -1 (unknown) reads the last position, which no value sets.
        mask: Mask = is_wanted[self.codes if items is None else self.codes[items]]
        return mask


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The products of one bundle most buyers first; row = ItemIdx. Money is in `currency`, -1 unknown.

    `is_listed` (n,): the price is the product table's, and may be shown; others are the mean of what was paid.
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

    `index` row r is the vector of item `index_items[r]`, whose length `index_lengths[r]` never rises with r;
    `index_heads` hold the first rows again, for the search that mostly need not go further.
    """

    version: str
    manifest: Mapping[str, Any]
    catalogue: Catalogue
    item_factors: Floats
    gram: Floats
    index: faiss.Index
    index_heads: Sequence[faiss.IndexFlatIP]
    index_items: Ints
    index_lengths: Floats
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

    @property
    def item_count(self) -> int:
        """How many products this bundle can propose."""
        return len(self.catalogue.product_ids)


def current_version(bundles_dir: Path) -> str:
    """The version that the pointer names; raises BundleMissing before the first publication."""
    try:
        return (bundles_dir / POINTER).read_text().strip()
    except FileNotFoundError:
        raise BundleMissing(f"{bundles_dir} holds no published bundle; run `endcap train` first") from None


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies one bundle; raises BundleRefused naming the file that differs from the manifest."""
    files = _VerifiedFiles(folder)
    catalogue = _catalogue(files)
    item_factors = files.array("item_factors.npy", np.float32)
    _same_length(folder, catalogue, files, item_factors)
    trending_idx = files.array("trending_idx.npy", np.int32)
    index, index_items = files.index("index.faiss"), files.array("index_items.npy", np.int32)
    return Bundle(
        version=str(files.manifest["version"]),
        manifest=files.manifest,
        catalogue=catalogue,
        item_factors=item_factors,
        gram=_gram(item_factors),
        index=index,
        index_heads=heads_of(index),
        index_items=index_items,
        index_lengths=np.linalg.norm(item_factors[index_items], axis=1),
        popularity=files.array("popularity.npy", np.float32),
        repeat_rate=files.array("repeat_rate.npy", np.float32),
        neighbours_idx=files.array("neighbours_idx.npy", np.int32),
        neighbours_score=files.array("neighbours_score.npy", np.float32),
        next_idx=files.array("next_idx.npy", np.int32),
        next_score=files.array("next_score.npy", np.float32),
        linear_idx=files.array("linear_idx.npy", np.int32),
        linear_weight=files.array("linear_weight.npy", np.float32),
        trending_idx=trending_idx,
        trending_count=(trending_idx >= 0).sum(axis=1).tolist(),
        trending_score=files.array("trending_score.npy", np.float32),
        group_of={name: row for row, name in enumerate(files.json("groups.json"))},
        als=files.json("als.json"),
        scoring=files.json("scoring.json"),
        ranker=_ranker(files),
        content=_content(files),
        rebuy=_rebuy(files),
        coupons=_coupons(files),
    )


def heads_of(index: faiss.Index, *, counts: Sequence[int] = HEAD_COUNTS) -> list[faiss.IndexFlatIP]:
    """Flat inner-product indexes of the first rows, for every count that is less than all of them."""
    heads = []
    for count in counts:
        if count < index.ntotal:
            head = faiss.IndexFlatIP(index.d)
            head.add(index.reconstruct_n(0, count))
            heads.append(head)
    return heads


def _ranker(files: "_VerifiedFiles") -> TreeRanker | None:
    """The trees; None where training found that the linear blend alone ranks as well."""
    if not files.has(RANKER_FILE):
        return None
    ranker = files.json("scoring.json")["ranker"]
    return TreeRanker(
        files.read(RANKER_FILE),
        ranker["columns"],
        slope=ranker["slope"],
        intercept=ranker["intercept"],
        ranks_new=ranker["ranks_new"],
    )


def _content(files: "_VerifiedFiles") -> ContentMap | None:
    """None where training had no product table to learn from."""
    if not files.has("content.json"):
        return None
    described = files.json("content.json")
    layout = Layout(described["columns"], described["price_edges"], described["token_count"])
    listed_at = described["listed_at"]
    last = None if listed_at is None else datetime.fromisoformat(listed_at)
    return ContentMap(layout, files.array("content_weights.npy", np.float32), last)


def _rebuy(files: "_VerifiedFiles") -> dict[str, RebuyModel]:
    """Per level a model; empty where training found too few repeat purchases, and in older bundles."""
    if not files.has(DOCUMENT):
        return {}
    return rebuy_models(files.json(DOCUMENT), lambda level: files.array(f"{habits_file(level)}.npy", np.float32))


def _coupons(files: "_VerifiedFiles") -> CouponModel | None:
    """None where training found too few redemptions, and in older bundles."""
    return coupon_model(files.json(COUPONS_DOCUMENT)) if files.has(COUPONS_DOCUMENT) else None


def _gram(item_factors: Floats) -> Floats:
    """YᵀY (k, k), the part of every fold-in that no customer changes."""
    return np.ascontiguousarray(item_factors.T @ item_factors)


def _catalogue(files: "_VerifiedFiles") -> Catalogue:
    product_ids = files.json("product_ids.json")
    described = files.json("catalogue.json")
    attributes = {}
    for column, vocabulary in described["attributes"].items():
        codes = files.array(f"attribute_{column}.npy", np.int32)
        attributes[column] = Attribute(codes, vocabulary, {value: code for code, value in enumerate(vocabulary)})
    keys = np.array([product_key(product_id) for product_id in product_ids], np.int64)
    return Catalogue(
        product_ids=product_ids,
        item_of={product_id: ItemIdx(item) for item, product_id in enumerate(product_ids)},
        names=described["names"],
        price_minor=files.array("price_minor.npy", np.int64),
        unit_cost_minor=_unit_costs(files, len(product_ids)),
        attributes=attributes,
        currency=described.get("currency"),
        keys=KeyTable(keys),
        is_listed=_listed(files, len(product_ids)),
    )


def _listed(files: "_VerifiedFiles", count: int) -> Mask:
    """Nowhere where training had no product table with prices, and in older bundles."""
    return files.array(LISTED, np.bool_) if files.has(LISTED) else np.zeros(count, np.bool_)


def _unit_costs(files: "_VerifiedFiles", count: int) -> npt.NDArray[np.int64]:
    """All unknown where training had no product table with unit costs."""
    if files.has(UNIT_COSTS):
        return files.array(UNIT_COSTS, np.int64)
    return np.full(count, -1, np.int64)


def _same_length(folder: Path, catalogue: Catalogue, files: "_VerifiedFiles", item_factors: Floats) -> None:
    count = len(catalogue.product_ids)
    lengths = {"item_factors.npy": len(item_factors), "price_minor.npy": len(catalogue.price_minor)}
    lengths |= {UNIT_COSTS: len(catalogue.unit_cost_minor), LISTED: len(catalogue.is_listed)}
    lengths |= {name: len(files.array(name, None)) for name in ("popularity.npy", "neighbours_idx.npy")}
    for name, length in lengths.items():
        if length != count:
            raise BundleRefused(f"{folder / name} has {length} rows for {count} products; publish the bundle again")
    if not np.isfinite(item_factors).all():
        raise BundleRefused(f"{folder / 'item_factors.npy'} holds values that are not finite; train again")


class _VerifiedFiles:
    """The bytes of one bundle folder, each given out only when its SHA-256 is the manifest's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self.manifest: Mapping[str, Any] = orjson.loads((folder / "manifest.json").read_bytes())
            self._listed: Mapping[str, Mapping[str, Any]] = self.manifest["files"]
            schema_version, version = self.manifest["schema_version"], self.manifest["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{folder / 'manifest.json'} cannot be read ({error!r}); publish the bundle again"
            raise BundleRefused(message) from None
        if schema_version != SCHEMA_VERSION:
            raise BundleRefused(f"{folder} has schema version {schema_version}, this server reads {SCHEMA_VERSION}")
        if version != folder.name:
            raise BundleRefused(f"{folder} holds the manifest of version {version}; publish the bundle again")

    def has(self, name: str) -> bool:
        """True when the manifest lists such a file."""
        return name in self._listed

    def read(self, name: str) -> bytes:
        path = self._folder / name
        try:
            content = path.read_bytes()
            expected = self._listed[name]["sha256"]
        except (OSError, KeyError, TypeError) as error:
            raise BundleRefused(f"{path} is missing ({error!r}); publish the bundle again") from None
        if hashlib.sha256(content).hexdigest() != expected:
            raise BundleRefused(f"{path} differs from its manifest ({len(content)} bytes); publish the bundle again")
        return content

    def json(self, name: str) -> Any:
        return orjson.loads(self.read(name))

    def array(self, name: str, dtype: npt.DTypeLike | None) -> npt.NDArray[Any]:
        # Pickled arrays would run code from the file.
        loaded: npt.NDArray[Any] = np.load(io.BytesIO(self.read(name)), allow_pickle=False)
        if dtype is not None and loaded.dtype != dtype:
            raise BundleRefused(f"{self._folder / name} holds {loaded.dtype}, not {np.dtype(dtype)}; train again")
        # Bundles to which another product table was applied go on using these arrays.
        loaded.setflags(write=False)
        return loaded

    def index(self, name: str) -> faiss.Index:
        return faiss.deserialize_index(np.frombuffer(self.read(name), dtype=np.uint8))
