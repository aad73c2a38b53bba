"""A customer's purchases become a vector in the item factors' space: the first half of the `als` source."""

import numpy as np
from scipy.linalg.lapack import sposv

from app.domain import Floats

MAX_ITEM_COUNT = 300
"""The strongest purchases that a fold-in uses; bounds its time and changes rankings little."""


def strength(count: Floats, weight_112d: Floats, *, weighting: str) -> Floats:
    """How much of a product a person has, float32, one value per product; 1 for one purchase today.

    `weighting` "binary": 1. "count": log2(1 + baskets with it). "decayed": log2(1 + weight_112d).
    """
    if weighting == "binary":
        return np.ones_like(count)
    if weighting not in ("count", "decayed"):
        raise ValueError(f"weighting {weighting!r} is none of binary, count, decayed")
    result: Floats = np.log2(1 + (count if weighting == "count" else weight_112d)).astype(np.float32)
    return result


def confidence(count: Floats, weight_112d: Floats, *, weighting: str, alpha: float) -> Floats:
    """How sure a purchase is a preference: 1 + alpha × strength, float32, one value per bought item.

    The same function weighs the training matrix, so that serving asks the question training answered.
    """
    result: Floats = 1 + np.float32(alpha) * strength(count, weight_112d, weighting=weighting)
    return result


def fold_in(gram: Floats, factors_of_items: Floats, confidence: Floats, *, regularization: float) -> Floats:
    """The customer's vector, float32 (k,): x = (Y'Y + Y'(C - I)Y + λI)⁻¹ Y'C p.

    Hu, Koren, Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets", eq. 4, where p is 1 on
    the customer's items. `gram` float32 (k, k) = Y'Y over all items; `factors_of_items` (n, k) and
    `confidence` (n,) of the customer's items only. No items give the zero vector.
    """
    if len(factors_of_items) == 0:
        return np.zeros(len(gram), np.float32)
    # The product of these rows with themselves is Y'(C - I)Y.
    scaled = factors_of_items * np.sqrt(confidence - 1)[:, None]
    system = scaled.T @ scaled
    system += gram
    # ravel() of a contiguous array is a view: these steps go along its diagonal.
    system.ravel()[:: len(gram) + 1] += np.float32(regularization)
    # Symmetric, so that its transpose is itself, in the order of axes that LAPACK works in without a copy.
    _, vector, failed = sposv(system.T, confidence @ factors_of_items, overwrite_a=True)
    if failed:
        raise ValueError(f"fold-in: the system of {len(gram)} factors is singular; train with regularization > 0")
    result: Floats = vector
    return result
