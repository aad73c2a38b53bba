"""The kind of item-item weights, and how purchases weigh in them, are chosen by what they predict."""

import numpy as np

from tests.support.rows import checkerboard, untimed
from training.data.split import Split, random_split
from training.learners.linear import LinearSettings
from training.tuning.linear import tune_linear
from training.tuning.problem import tuning_problem


def test_the_kind_that_predicts_best_is_chosen() -> None:
    """Products are bought in couples, a third of them beyond what EASE reaches."""
    problem = tuning_problem(couples_split(couple_count=4000), seed=0)
    settings = tune_linear(problem, weighting="decayed", penalties=[300.0])
    assert settings is not None
    assert settings.kind == "neighbours"
    alone = tune_linear(problem, weighting="decayed", penalties=[300.0], evennesses=[])
    assert alone == LinearSettings("ease", 300.0, "decayed")


def test_nobody_to_predict_for_takes_the_first_values() -> None:
    nobody = tuning_problem(Split("random", checkerboard(), {}), seed=0)
    assert tune_linear(nobody, weighting="count", penalties=[7.0, 8.0]) == LinearSettings("ease", 7.0, "count")


def test_one_product_gives_nothing_to_sum() -> None:
    problem = tuning_problem(random_split(untimed([("a", "p"), ("b", "p")]), seed=0), seed=0)
    assert tune_linear(problem, weighting="count") is None


def couples_split(*, couple_count: int) -> Split:
    """Every customer bought the two products of three couples; one of the six is held out."""
    couples = np.random.default_rng(5).integers(0, couple_count, (15_000, 3)).tolist()
    pairs = [
        (f"c{customer}", f"p{couple}{half}")
        for customer, three in enumerate(couples)
        for couple in three
        for half in "ab"
    ]
    return random_split(untimed(pairs), seed=0)
