"""Purchases become item factors by implicit ALS."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from app.decision.customer.foldin import confidence
from app.domain import Floats
from training.data.dataset import Dataset, Pairs, purchase_pairs


@dataclass(frozen=True, slots=True)
class AlsSettings:
    """All that shapes the factors; `weighting` and `alpha` as in `app.decision.customer.foldin.confidence`.

    The defaults stood best or within 3 % of it on a grocer's tills and on film ratings alike.
    """

    factors: int = 64
    alpha: float = 2.0
    regularization: float = 30.0
    weighting: str = "decayed"
    iterations: int = 8


@dataclass(frozen=True, slots=True)
class Start:
    """Item factors float32 (n, k) to continue from, and how many rounds of least squares follow."""

    item_factors: Floats
    iterations: int


def fit_item_factors(dataset: Dataset, settings: AlsSettings, *, seed: int, start: Start | None = None) -> Floats:
    """Item factors float32 (n, k), zeros for products that nobody bought; the same for the same seed.

    It continues from `start`, or begins at random. Hu, Koren, Volinsky 2008, eq. 4 and 5, solved by conjugate gradients
    (Takács, Pilászy, Tikk 2011).
    """
    shape = (len(dataset.customer_ids), len(dataset.product_ids))
    if dataset.line_count == 0:
        return np.zeros((shape[1], settings.factors), np.float32)
    return fit_factors(purchase_pairs(dataset), shape, settings, seed=seed, start=start)[1]


def fit_factors(
    pairs: Pairs, shape: tuple[int, int], settings: AlsSettings, *, seed: int, start: Start | None = None
) -> tuple[Floats, Floats]:
    """Factors of customers (c, k) and of items (n, k), float32; `shape` = (c, n)."""
    # implicit loads slowly and only training needs it.
    from implicit.cpu.als import AlternatingLeastSquares

    weight = confidence(pairs.count, pairs.weight_112d, weighting=settings.weighting, alpha=settings.alpha)
    # implicit wants a csr_matrix: it warns of anything else, a csr_array too, and converts it.
    matrix = sparse.csr_matrix((weight, (pairs.customer, pairs.item)), shape=shape)
    # implicit runs threads of its own, and warns that BLAS threads under them cost more than they bring.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            # `weight` is the whole confidence already; implicit would multiply it by alpha.
            alpha=1.0,
            regularization=settings.regularization,
            iterations=settings.iterations if start is None else start.iterations,
            num_threads=2,
            random_state=seed,
        )
        if start is not None:
            # fit() writes into what it is given; customers follow from the items in its first half round.
            model.item_factors = start.item_factors.copy()
        model.fit(matrix, show_progress=False)
    return _finite(model.user_factors), _finite(model.item_factors)


def _finite(factors: npt.NDArray[np.float32]) -> Floats:
    return np.ascontiguousarray(np.nan_to_num(factors, posinf=0.0, neginf=0.0), np.float32)
