"""The linear item-item scores of one person: what having some products adds to the others."""

import numpy as np
from scipy import sparse

from app.domain import Floats, Ints
from app.model.bundle import Bundle

MAX_ITEM_COUNT = 1000
"""The strongest products that are summed; bounds its time."""


def linear_scores(bundle: Bundle, items: Ints, strength: Floats) -> Floats | None:
    """Scores float32 (m,) of the m most bought products; None when the bundle or the person has nothing to sum.

    `items` distinct with their `strength` (app/decision/customer/foldin.py); a score is Σ strength · weight
    (training/learners/linear.py).
    """
    known = (items < len(bundle.linear_idx)).nonzero()[0]
    if not len(known):
        return None
    if len(known) > MAX_ITEM_COUNT:
        known = known[np.argpartition(-strength[known], MAX_ITEM_COUNT)[:MAX_ITEM_COUNT]]
    rows = items[known]
    kept_count = bundle.linear_idx.shape[1]
    # One column per product the person has: a sparse product sums them in C, without a dense matrix of all items.
    weights = sparse.csc_array(
        (
            # Padding repeats index 0 with weight 0, and no column is sorted: a sparse product minds neither.
            bundle.linear_weight.take(rows, axis=0).ravel(),
            bundle.linear_idx.take(rows, axis=0).ravel(),
            np.arange(0, (len(rows) + 1) * kept_count, kept_count, dtype=np.int32),
        ),
        shape=(len(bundle.linear_idx), len(rows)),
    )
    total: Floats = weights @ strength[known]
    return total
