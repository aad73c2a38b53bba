"""What ranked lists show as a whole, whether bought or not: how much of the catalogue, how known, how alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints
from training.metrics.ranking import Wide

GROUP_COUNT = 5

Counts = npt.NDArray[np.intp]


def coverage(slates: Ints, item_count: int) -> float:
    """Share of the catalogue that at least one of the lists (n, k; -1 = empty) shows."""
    return len(np.unique(slates[slates >= 0])) / max(item_count, 1)


def novelty(slates: Ints, buyers: Counts, customer_count: int) -> Wide:
    """Mean self-information of each list that shows anything, in bits: −log2(buyers / customers) of its products.

    Zhou et al. 2010. A product that nobody bought yet counts as one bought once.
    """
    bits = -np.log2(np.maximum(buyers, 1) / max(customer_count, 1))
    # An empty position (-1) reads the last product's bits, which `where` takes out again.
    return _mean_of_filled(np.where(slates >= 0, bits[slates], 0.0), slates)


def factor_diversity(slates: Ints, factors: Floats) -> Wide:
    """1 − mean cosine over the pairs of each list that has two products or more, by their factors.

    Intra-list similarity (Ziegler et al. 2005) turned round. A product without factors is like no other.
    """
    several = slates[(slates >= 0).sum(axis=1) >= 2]
    shown = factors[several] * (several >= 0)[:, :, None]
    length = np.linalg.norm(shown, axis=2, keepdims=True)
    unit = (shown / np.where(length > 0, length, 1)).astype(np.float64)
    # Σ u·v over all ordered pairs of different products is |Σ u|² - Σ |u|²: no loop over pairs.
    alike: Wide = (unit.sum(axis=1) ** 2).sum(axis=1) - (unit**2).sum(axis=(1, 2))
    return 1 - alike / _pairs(several)


def attribute_diversity(slates: Ints, codes: Ints) -> Wide:
    """Share of pairs of each list with two products or more whose attribute differs; unknown (-1) differs from all."""
    several = slates[(slates >= 0).sum(axis=1) >= 2]
    shown = np.where(several >= 0, codes[several], -1)
    equal = (shown[:, :, None] == shown[:, None, :]) & (shown >= 0)[:, :, None]
    # Each known product equals itself, which is no pair.
    alike: Wide = (equal.sum(axis=(1, 2)) - (shown >= 0).sum(axis=1)).astype(np.float64)
    return 1 - alike / _pairs(several)


@dataclass(frozen=True, slots=True)
class PopularityGroup:
    """Products that together made a fifth of the past sales, and their share of places shown and of purchases."""

    product_count: int
    shown: float
    bought: float


def popularity_groups(slates: Ints, truth: Sequence[Ints], sales: Counts) -> list[PopularityGroup]:
    """Five groups of products with equal past `sales` (n,), the best-selling first; without sales one group."""
    order = np.argsort(-sales, kind="stable")
    # A product belongs where its sales begin, so the best seller is in the first group however much it sells.
    before = np.cumsum(sales[order]) - sales[order]
    group = np.zeros(len(sales), np.intp)
    group[order] = np.minimum(before * GROUP_COUNT // max(int(sales.sum()), 1), GROUP_COUNT - 1)
    # concatenate() refuses an empty list; the empty array also keeps the type.
    bought = np.concatenate([*truth, np.zeros(0, np.int32)])
    shares = [np.bincount(group[items], minlength=GROUP_COUNT) for items in (slates[slates >= 0], bought)]
    shown_share, bought_share = (share / max(share.sum(), 1) for share in shares)
    sizes = np.bincount(group, minlength=GROUP_COUNT)
    return [
        PopularityGroup(int(sizes[row]), float(shown_share[row]), float(bought_share[row]))
        for row in range(GROUP_COUNT)
        if sizes[row]
    ]


def _pairs(slates: Ints) -> Wide:
    """How many ordered pairs of different places each list has."""
    size = (slates >= 0).sum(axis=1).astype(np.float64)
    pairs: Wide = size * (size - 1)
    return pairs


def _mean_of_filled(values: Wide, slates: Ints) -> Wide:
    size = (slates >= 0).sum(axis=1)
    means: Wide = values.sum(axis=1)[size > 0] / size[size > 0]
    return means
