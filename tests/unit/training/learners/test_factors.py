"""ALS in a world whose right answer is provable: a checkerboard of two tastes."""

import numpy as np

from app.decision.customer.foldin import confidence, fold_in
from tests.support.rows import untimed
from training.data.dataset import Dataset, purchase_pairs
from training.data.split import Split, random_split
from training.learners.factors import AlsSettings, Trial, fit_item_factors, tune

SMALL = AlsSettings(factors=4, alpha=10.0, regularization=0.1)


def checkerboard(customer_count: int = 40, product_count: int = 20) -> Dataset:
    """Even customers bought even products only, odd ones odd, each all but one."""
    rows = [
        (f"{c:03}", f"{p:03}")
        for c in range(customer_count)
        for p in range(product_count)
        if c % 2 == p % 2 and p // 2 != c // 2 % (product_count // 2)
    ]
    return untimed(rows, unsold=["never sold"])


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


def test_tuning_reports_every_trial_and_chooses_the_best() -> None:
    seen: list[Trial] = []
    split = random_split(checkerboard(), seed=1)
    tuned = tune(split, budget_s=60, seed=1, on_trial=seen.append, start=SMALL)
    assert list(tuned.trials) == seen
    assert len({trial.settings for trial in seen}) == len(seen) > 5
    chosen = next(trial for trial in seen if trial.settings == tuned.settings)
    assert chosen.ndcg >= seen[0].ndcg


def test_spent_budget_still_allows_one_trial() -> None:
    tuned = tune(random_split(checkerboard(), seed=1), budget_s=0, seed=1, start=SMALL)
    assert [trial.settings for trial in tuned.trials] == [SMALL]


def test_nobody_to_ask_keeps_the_start() -> None:
    tuned = tune(Split("random", checkerboard(), {}), budget_s=5, seed=1, start=SMALL)
    assert (tuned.settings, list(tuned.trials)) == (SMALL, [])
