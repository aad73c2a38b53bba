"""What promotions do to sales, and which are to come: the promotions' part of a bundle."""

from dataclasses import replace

import numpy as np

from app.domain import Floats
from app.model.promotions.calendar import DOCUMENT, calendar_arrays
from training.data.dataset import Dataset
from training.data.promotions import Promotions
from training.release.assemble import BundleContents

DAYS_BEFORE = 8
"""A decision compares its week with the one before."""
DAYS_AHEAD = 35
"""Promotions that start later wait for the next training: five weeks of a grocer's are 25 MB."""
PRIOR_LINES = 5.0
"""So many lines, as expected without a promotion, pull an item's lift towards that of all."""


def with_promotions(contents: BundleContents, dataset: Dataset) -> BundleContents:
    """The contents with the promotions around the dataset's end, and each item's lift; as they are without any."""
    promotions = dataset.promotions
    if promotions is None:
        return contents
    rows = promotions.between(dataset.as_of_day - DAYS_BEFORE, dataset.as_of_day + DAYS_AHEAD)
    lift = promotion_lift(dataset, promotions)
    arrays = calendar_arrays(rows.item, rows.store, rows.minutes, rows.shown, lift)
    documents = {**contents.documents, DOCUMENT.removesuffix(".json"): {"stores": promotions.store_ids}}
    return replace(contents, arrays={**contents.arrays, **arrays}, documents=documents)


def promotion_lift(dataset: Dataset, promotions: Promotions) -> Floats:
    """How many times as many lines an item has on promotion as otherwise, float32 (n,), shrunk towards that of all.

    Of promotions that ended before the dataset does. Sales are counted per line of the shop, so that busy stores and
    weeks say nothing of promotions; before its first line an item could not be bought.
    """
    count = len(dataset.product_ids)
    lines = np.arange(dataset.line_count)
    first = np.full(count, dataset.line_count)
    np.minimum.at(first, dataset.item, lines)
    sold = np.bincount(dataset.item, minlength=count)
    there = (dataset.line_count - first).astype(np.float64)
    on_sale, on_traffic = promotions.ended_by(dataset.as_of_day)
    off_traffic = np.maximum(there - on_traffic, 0)
    usual = (sold + 1) / np.maximum(there, 1)
    rate = (np.maximum(sold - on_sale, 0) + 0.5) / (off_traffic + 0.5 / usual)
    expected = rate * on_traffic
    overall = on_sale.sum() / max(float(expected.sum()), 1e-9) if on_sale.any() else 1.0
    return np.asarray((on_sale + PRIOR_LINES * overall) / (expected + PRIOR_LINES), np.float32)
