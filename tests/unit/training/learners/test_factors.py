"""ALS in a world whose right answer is provable: a checkerboard of two tastes."""

import numpy as np

from app.decision.customer.foldin import confidence, fold_in
from tests.support.rows import checkerboard
from training.data.dataset import purchase_pairs
from training.learners.factors import AlsSettings, fit_item_factors

SMALL = AlsSettings(factors=4, alpha=10.0, regularization=0.1)


def test_missing_square_of_the_own_colour_ranks_above_the_other_colour() -> None:
    data = checkerboard()
    factors = fit_item_factors(data, SMALL, seed=1)
    pairs = purchase_pairs(data)
    parity = np.array([int(name) % 2 if name.isdigit() else -1 for name in data.product_ids])
    for customer in (0, 1, 17):
        own = pairs.customer == customer
        sure = confidence(pairs.count[own], pairs.weight_112d[own], weighting="decayed", alpha=SMALL.alpha)
        bought = pairs.item[own]
        user = fold_in(factors.T @ factors, factors[bought], sure, regularization=SMALL.regularization)
        scores = factors @ user
        colour = parity == customer % 2
        assert scores[colour].min() > scores[~colour].max()


def test_product_that_nobody_bought_has_no_factors() -> None:
    data = checkerboard()
    factors = fit_item_factors(data, SMALL, seed=1)
    assert factors.shape == (21, 4)
    assert not factors[data.product_ids.index("never sold")].any()


def test_same_seed_gives_the_same_factors() -> None:
    first, second = (fit_item_factors(checkerboard(), SMALL, seed=3) for _ in range(2))
    assert np.array_equal(first, second)
