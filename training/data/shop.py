"""What kind of shop a dataset looks like: a few facts of who buys what how often, for a report and a manifest."""

from dataclasses import dataclass

import numpy as np

from training.data.dataset import Dataset

STAPLES_SHARE = 0.3
"""Of what customers buy, so much they had bought before in a grocer's history (62 % at the Complete Journey)."""
CATALOGUE_SHARE = 0.05
"""Below it hardly anything is bought twice, and what customers own is left out of their slates."""
GROCER, MIXED, CATALOGUE, BROWSING = "grocer", "mixed", "catalogue", "browsing"


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """Shares are of lines and of customers; `span_days` is None without times. Where nothing is bought, views count."""

    kind: str
    baskets: int
    basket_size_median: float
    repeat_share: float
    one_basket_share: float
    products_per_customer_median: float
    span_days: float | None


def shop_facts(dataset: Dataset) -> ShopFacts:
    """The facts of all lines of the dataset, which has one at least."""
    width = len(dataset.product_ids)
    pairs = np.unique(dataset.customer.astype(np.int64) * width + dataset.item)
    products = np.bincount(pairs // width)
    _, first_line, sizes = np.unique(dataset.basket, return_index=True, return_counts=True)
    baskets = np.bincount(dataset.customer[first_line])
    repeat_share = 1 - len(pairs) / dataset.line_count
    return ShopFacts(
        kind=_kind(dataset, repeat_share),
        baskets=len(sizes),
        basket_size_median=float(np.median(sizes)),
        repeat_share=round(repeat_share, 4),
        one_basket_share=round(float(np.mean(baskets[baskets > 0] == 1)), 4),
        products_per_customer_median=float(np.median(products[products > 0])),
        span_days=round(float(np.ptp(dataset.day)), 1) if dataset.has_time else None,
    )


def _kind(dataset: Dataset, repeat_share: float) -> str:
    if not dataset.has_purchases:
        return BROWSING
    if repeat_share >= STAPLES_SHARE:
        return GROCER
    return MIXED if repeat_share >= CATALOGUE_SHARE else CATALOGUE
