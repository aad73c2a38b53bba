"""ALS as `implicit` has it out of the box: the simple rule that a tuned ranking must at least equal."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from app.decision.customer.foldin import fold_in
from app.domain import Floats, Ints
from training.data.dataset import Pairs

FACTORS = 64
REGULARIZATION = 0.01
"""`implicit`'s own default."""


@dataclass(frozen=True, slots=True)
class PlainAls:
    """Item factors float32 (n, 64) and their Gram matrix (64, 64)."""

    item_factors: Floats
    gram: Floats

    def user(self, items: Ints, counts: Floats) -> Floats:
        """The vector (64,) of somebody who has these items so often: alpha is 1, a count is the confidence itself."""
        return fold_in(self.gram, self.item_factors[items], counts, regularization=REGULARIZATION)


def fit_plain_als(pairs: Pairs, shape: tuple[int, int], *, seed: int) -> PlainAls:
    """Learned from how many baskets of a customer hold a product; `shape` = customers, items. No pairs give zeros."""
    # implicit loads slowly and only training needs it.
    from implicit.cpu.als import AlternatingLeastSquares

    if not len(pairs.item):
        return PlainAls(np.zeros((shape[1], FACTORS), np.float32), np.zeros((FACTORS, FACTORS), np.float32))
    matrix = sparse.csr_matrix((pairs.count, (pairs.customer, pairs.item)), shape=shape)
    # implicit runs threads of its own, and warns that BLAS threads under them cost more than they bring.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=FACTORS, alpha=1.0, regularization=REGULARIZATION, num_threads=2, random_state=seed
        )
        model.fit(matrix, show_progress=False)
    # Of a single customer the last round may give what is no number.
    factors = np.ascontiguousarray(np.nan_to_num(model.item_factors, posinf=0.0, neginf=0.0), np.float32)
    return PlainAls(factors, factors.T @ factors)
