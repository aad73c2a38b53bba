"""The exact fold-in against implicit's own solution and the equation itself."""

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from app.decision.customer.foldin import confidence, fold_in
from app.domain import Floats

REGULARIZATION = 3.0


def random_factors(count: int, width: int) -> Floats:
    return np.random.default_rng(1).normal(0, 0.3, (count, width)).astype(np.float32)


def test_fold_in_equals_implicits_recalculated_user() -> None:
    random = np.random.default_rng(2)
    weights = sparse.random_array((40, 60), density=0.2, rng=random, dtype=np.float32, format="csr")
    weights.data = confidence(weights.data * 5, weights.data * 5, weighting="count", alpha=4)
    matrix = sparse.csr_matrix(weights)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=8, alpha=1.0, regularization=REGULARIZATION, random_state=1)
        model.fit(matrix, show_progress=False)
        theirs = model.recalculate_user(np.array([7]), matrix[7])[0]
    items = matrix[7].indices
    factors = np.asarray(model.item_factors)
    ours = fold_in(factors.T @ factors, factors[items], matrix[7].data, regularization=REGULARIZATION)
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_fold_in_makes_the_gradient_of_the_loss_vanish() -> None:
    factors, bought = random_factors(50, 6), np.array([3, 8, 9])
    sure = np.array([2.0, 5.0, 9.0], np.float32)
    user = fold_in(factors.T @ factors, factors[bought], sure, regularization=REGULARIZATION)
    weight, wanted = np.ones(50), np.zeros(50)
    weight[bought], wanted[bought] = sure, 1
    gradient = factors.T @ (weight * (factors @ user - wanted)) + REGULARIZATION * user
    assert gradient == pytest.approx(np.zeros(6), abs=1e-4)


def test_order_of_the_items_does_not_matter() -> None:
    factors, sure = random_factors(9, 4), np.linspace(1, 5, 9, dtype=np.float32)
    gram = factors.T @ factors
    forwards = fold_in(gram, factors, sure, regularization=1.0)
    assert fold_in(gram, factors[::-1], sure[::-1], regularization=1.0) == pytest.approx(forwards, abs=1e-5)


def test_no_items_give_the_zero_vector() -> None:
    user = fold_in(np.eye(4, dtype=np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), regularization=1)
    assert user.tolist() == [0, 0, 0, 0]


def test_singular_system_is_refused_by_name() -> None:
    nothing = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match="regularization > 0"):
        fold_in(nothing, nothing[:1], np.ones(1, np.float32), regularization=0.0)


def test_confidence_grows_with_purchases_and_starts_above_one() -> None:
    count = np.array([1, 2, 30], np.float32)
    for weighting in ("count", "decayed"):
        sure = confidence(count, count, weighting=weighting, alpha=2)
        assert sure[0] == pytest.approx(3.0)
        assert (np.diff(sure) > 0).all()
    assert confidence(count, count, weighting="binary", alpha=2).tolist() == [3, 3, 3]


def test_unknown_weighting_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'sold'"):
        confidence(np.ones(1, np.float32), np.ones(1, np.float32), weighting="sold", alpha=1)
