"""The logistic regression that calibration, replenishment and coupons share, against what must hold at its optimum."""

import numpy as np
import pytest
from scipy.optimize import minimize

from training.ranking.logistic import Reals, Wide, fit_logistic

RANDOM = np.random.default_rng(3)
DESIGN = np.column_stack([np.ones(20_000), RANDOM.normal(size=(20_000, 3))])
TARGET = (RANDOM.random(20_000) < 1 / (1 + np.exp(-DESIGN @ np.array([-2.0, 1.0, 0.5, 0.0])))).astype(np.float64)
PENALTY = np.array([1e-6, 10.0, 10.0, 10.0])


def fitted(design: Reals = DESIGN, target: Reals = TARGET, weight: Wide | None = None) -> Wide:
    return fit_logistic(design, target, penalty=PENALTY, start=np.zeros(4), weight=weight)


def test_weights_are_those_of_an_independent_minimizer() -> None:
    def loss(beta: Wide) -> float:
        log_odds = DESIGN @ beta
        return float((np.logaddexp(0, log_odds) - TARGET * log_odds).sum() + PENALTY @ beta**2 / 2)

    other = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-4}).x
    assert fitted() == pytest.approx(other, abs=1e-6)


def test_gradient_vanishes_at_the_end() -> None:
    beta = fitted()
    gradient = DESIGN.T @ (1 / (1 + np.exp(-DESIGN @ beta)) - TARGET) + PENALTY * beta
    assert np.abs(gradient).max() < 1e-6


def test_row_that_weighs_three_is_worth_three_rows() -> None:
    weight = RANDOM.integers(1, 4, 2000)
    repeated = np.repeat(np.arange(2000), weight)
    weighted = fitted(DESIGN[:2000], TARGET[:2000], weight.astype(np.float64))
    assert weighted == pytest.approx(fitted(DESIGN[repeated], TARGET[repeated]), abs=1e-9)


def test_single_precision_ends_near_double() -> None:
    assert fitted(DESIGN.astype(np.float32), TARGET.astype(np.float32)) == pytest.approx(fitted(), abs=1e-5)


def test_column_that_separates_all_rows_stays_finite_by_its_penalty() -> None:
    column = np.where(TARGET > 0, 5.0, -5.0)
    design = np.column_stack([DESIGN[:, 0], column, DESIGN[:, 2:]])
    assert np.isfinite(fitted(design)).all()
