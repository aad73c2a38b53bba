"""What a product's table row says becomes a vector among the item factors: how a bundle places what nobody bought yet.

Training learns the map from products that were bought; serving applies it to products that came after training.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from zlib import crc32

import numpy as np
import numpy.typing as npt
from scipy import sparse

from app.domain import Floats, Ints

LISTED_AT = "listed_at"
"""The product table's column that says when a product joined it."""
NEW_FOR = timedelta(days=28)
"""How long a product that nobody buys is new."""

Positions = npt.NDArray[np.intp]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class ProductContent:
    """n products, in parallel; `codes` by attribute column, there and in `price_minor` -1 = unknown."""

    names: Sequence[str | None]
    codes: Mapping[str, Ints]
    price_minor: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of content features: a constant, every column's values, price bands, hashed words of names.

    `column_sizes` counts each column's values; `price_edges` (minor units, ascending) part the bands.
    """

    column_sizes: Mapping[str, int]
    price_edges: Sequence[float]
    token_count: int

    @property
    def feature_count(self) -> int:
        """How many features there are."""
        return 1 + sum(self.column_sizes.values()) + len(self.price_edges) + 1 + self.token_count


@dataclass(frozen=True, slots=True)
class ContentMap:
    """`weights` float32 (features, k): a product's vector is the sum of its features' rows.

    `listed_at`: when the last of the products that training found unsold was listed; None for those of old.
    """

    layout: Layout
    weights: Floats
    listed_at: datetime | None = None

    def has_new(self, now: datetime) -> bool:
        """True while a product that training found unsold is still new."""
        return self.listed_at is not None and self.listed_at > now - NEW_FOR

    def vectors(self, products: ProductContent) -> Floats:
        """A vector (n, k) per product; values that training did not see add nothing."""
        placed: Floats = content_matrix(self.layout, products) @ self.weights
        return placed


def content_matrix(layout: Layout, products: ProductContent) -> sparse.csr_array:
    """The features of n products, float32 (n, feature_count): ones, but words share 1 as 1/√(number of words)."""
    count = len(products.names)
    everyone = np.arange(count)
    parts: list[tuple[Positions, Positions]] = [(everyone, np.zeros(count, np.intp))]
    start = 1
    for column, size in layout.column_sizes.items():
        codes = products.codes[column]
        known = np.flatnonzero((codes >= 0) & (codes < size))
        parts.append((known, start + codes[known].astype(np.intp)))
        start += size
    priced = np.flatnonzero(products.price_minor > 0)
    parts.append((priced, start + np.searchsorted(layout.price_edges, products.price_minor[priced])))
    start += len(layout.price_edges) + 1
    named, word, share = _words(products.names, layout.token_count)
    row = np.concatenate([*(rows for rows, _ in parts), named])
    feature = np.concatenate([*(features for _, features in parts), start + word])
    value = np.concatenate([np.ones(len(row) - len(share), np.float32), share])
    return sparse.csr_array((value, (row, feature)), shape=(count, layout.feature_count))


def _words(names: Sequence[str | None], token_count: int) -> tuple[Ints, Ints, Floats]:
    """Product, hashed word and share of every word and pair of neighbouring words in every name."""
    words_of = {name: _hashed(name, token_count) for name in set(names) if name}
    counts = [len(words_of[name]) if name else 0 for name in names]
    named = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    word = np.array([word for name in names if name for word in words_of[name]], np.int32)
    share = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
    return named, word, share.astype(np.float32)


def _hashed(name: str, token_count: int) -> list[int]:
    words = _WORD.findall(name.lower())
    # Not hash(), which Python salts in each process: servers have to find the words where training put them.
    return sorted({crc32(word.encode()) % token_count for word in [*words, *map(" ".join, pairwise(words))]})
