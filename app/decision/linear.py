"""The linear item-item scores of one person: what having some products adds to the others."""

import numpy as np
from scipy import sparse

from app.domain import Floats, Ints
from app.model.bundle import Bundle

MAX_ITEM_COUNT = 1000
"""The strongest products that are summed; bounds its time."""


def strength(weight_112d: Floats) -> Floats:
    """How much of a product a person has, float32: log2(1 + decayed purchases), 1 for one purchase today."""
    result: Floats = np.log2(1 + weight_112d).astype(np.float32)
    return result


def linear_scores(bundle: Bundle, items: Ints, weight_112d: Floats) -> Floats | None:
    """Scores float32 (m,) of the m most bought products; None when the bundle or the person has nothing to sum.

    `items` distinct, `weight_112d` their decayed purchases or interest; a score is Σ strength · weight
    (training/linear.py).
    """
    known = (items < len(bundle.linear_idx)).nonzero()[0]
    if not len(known):
        return None
    if len(known) > MAX_ITEM_COUNT:
        known = known[np.argpartition(-weight_112d[known], MAX_ITEM_COUNT)[:MAX_ITEM_COUNT]]
    rows = items[known]
    kept_count = bundle.linear_idx.shape[1]
    weights = sparse.csc_array(
        (
            bundle.linear_weight.take(rows, axis=0).ravel(),
            bundle.linear_idx.take(rows, axis=0).ravel(),
            np.arange(0, (len(rows) + 1) * kept_count, kept_count, dtype=np.int32),
        ),
        shape=(len(bundle.linear_idx), len(rows)),
    )
    total: Floats = weights @ strength(weight_112d[known])
    return total
