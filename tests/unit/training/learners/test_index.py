"""The search's order holds every vector once, the longest first."""

import numpy as np

from app.domain import Floats
from training.learners.index import longest_first


def random_factors(count: int) -> Floats:
    return np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)


def test_items_run_by_falling_length() -> None:
    factors = random_factors(500)
    items = longest_first(factors)
    assert (np.diff(np.linalg.norm(factors[items], axis=1)) <= 0).all()
    assert sorted(items.tolist()) == list(range(500))


def test_no_items_have_an_empty_order() -> None:
    assert len(longest_first(random_factors(0))) == 0
