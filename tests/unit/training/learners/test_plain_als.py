"""The plain ALS that a bundle is compared with is the library's own, and knows people whom it has not learned from."""

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from tests.support.rows import checkerboard, untimed
from training.data.dataset import purchase_pairs
from training.learners.plain_als import FACTORS, fit_plain_als


def test_missing_square_of_the_own_colour_ranks_above_the_other_colour_for_an_unknown_person() -> None:
    data = checkerboard()
    als = fit_plain_als(purchase_pairs(data), (len(data.customer_ids), len(data.product_ids)), seed=1)
    assert als.item_factors.shape == (len(data.product_ids), FACTORS)
    parity = np.array([int(name) % 2 if name.isdigit() else -1 for name in data.product_ids])
    for colour in (0, 1):
        viewed = np.flatnonzero(parity == colour)[:6].astype(np.int32)
        scores = als.item_factors @ als.user(viewed, np.ones(6, np.float32))
        assert scores[parity == colour].min() > scores[parity != colour].max()


def test_customers_vectors_are_those_that_the_library_learns() -> None:
    data = checkerboard()
    pairs, shape = purchase_pairs(data), (len(data.customer_ids), len(data.product_ids))
    als = fit_plain_als(pairs, shape, seed=1)
    theirs = AlternatingLeastSquares(factors=FACTORS, alpha=1.0, random_state=1)
    matrix = csr_matrix((pairs.count, (pairs.customer, pairs.item)), shape=shape)
    theirs.fit(matrix, show_progress=False)
    assert np.array_equal(als.item_factors, theirs.item_factors)
    own = pairs.customer == 3
    expected = theirs.recalculate_user(3, matrix[3])
    assert np.allclose(als.user(pairs.item[own], pairs.count[own]), expected, atol=1e-3)


def test_nothing_bought_gives_zeros() -> None:
    data = untimed([], unsold=["a", "b"])
    assert not fit_plain_als(purchase_pairs(data), (0, 2), seed=1).item_factors.any()
