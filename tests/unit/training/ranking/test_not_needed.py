"""Columns that cost time in every decision are left out where the ranking is as good without them."""

from collections.abc import Mapping

import numpy as np
import pytest

from app.decision.ranking.features import COLUMNS, TABLE_COLUMNS
from app.domain import Floats, Mask
from training.ranking import fit
from training.ranking.fit import Window, not_needed

SHAPE = (300, 40)
RANDOM = np.random.default_rng(7)
TRUTH = RANDOM.random(SHAPE, np.float32)
"""Queries by candidates: the two that are largest are bought."""
BOUGHT = np.sort(TRUTH, axis=1)[:, -2:-1] <= TRUTH


def window(columns: Mapping[str, Floats], bought: Mask) -> Window:
    rows = np.zeros((*bought.shape, len(TABLE_COLUMNS)), np.float32)
    for name, values in columns.items():
        rows[:, :, COLUMNS.index(name)] = values
    return Window(list(rows), list(bought), bought.sum(axis=1).tolist())


def noise() -> Floats:
    return RANDOM.random(SHAPE, np.float32)


def test_column_that_knows_stays_and_noise_goes() -> None:
    by_factors = window({"als": TRUTH, "linear": noise(), "following": noise()}, BOUGHT)
    assert not_needed(by_factors, seed=0) == ("linear", "following")
    assert not_needed(window({"linear": TRUTH, "als": noise()}, BOUGHT), seed=0) == ("following", "als")


def test_of_two_columns_that_say_the_same_one_stays() -> None:
    dropped = not_needed(window({"als": TRUTH, "linear": TRUTH}, BOUGHT), seed=0)
    assert "linear" in dropped
    assert "als" not in dropped


def test_factors_stay_for_the_new_products_of_regulars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regulars buy two products again, and seldom another one: which, the factors alone know."""
    owned = np.zeros((4000, 40), np.float32)
    owned[:, :2] = 1
    taste = RANDOM.random((4000, 40), np.float32)
    taste[:, :2] = 0
    bought = owned > 0
    for query in range(60):
        bought[query, np.argmax(taste[query])] = True
    regulars = window({"als": taste, "frequent_all": owned, "popular": 0.1 * owned}, bought)
    assert "als" not in not_needed(regulars, seed=0)
    # Control: by the whole window alone they would go.
    monkeypatch.setattr(fit, "_new_only", lambda one: one)
    assert "als" in not_needed(regulars, seed=0)
