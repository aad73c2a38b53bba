"""The order in which a search goes through item factors: the longest vectors first, among which the best mostly are."""

import numpy as np

from app.domain import Floats, Ints


def longest_first(item_factors: Floats) -> Ints:
    """The items int32 (m,) of `item_factors` (m, k) by falling length; of one length the better seller first.

    ALS factors differ in length a hundredfold, and |u·f| ≤ |u|·|f|: with the longest first, a search may stop early
    and still be exact (app/model/retrieval.py).
    """
    return np.argsort(-np.linalg.norm(item_factors, axis=1), kind="stable").astype(np.int32)
