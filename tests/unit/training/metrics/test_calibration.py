"""Probabilities against shares worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics.calibration import BIN_COUNT, reliability

OWNERS = np.arange(4)


def test_error_is_the_gap_of_each_bin_by_its_share_of_propositions() -> None:
    measured = reliability(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0], np.bool_), OWNERS, seed=0)
    # |0.1 - 0| / 2 + |0.9 - 0.5| / 2
    assert measured.ece == pytest.approx(0.25)
    assert measured.ece_equal_count == pytest.approx(0.25)
    assert measured.brier == pytest.approx((0.01 + 0.01 + 0.01 + 0.81) / 4)
    assert (measured.mean_probability, measured.bought) == pytest.approx((0.5, 0.25))
    assert [(one.count, one.probability, one.bought) for one in measured.bins] == [(2, 0.1, 0.0), (2, 0.9, 0.5)]


def test_equal_counts_see_what_equal_widths_blur() -> None:
    chance = np.repeat([0.01, 0.05], 50)
    bought = np.repeat([True, False], [3, 97])
    measured = reliability(chance, bought, np.arange(100), seed=0)
    assert measured.ece == pytest.approx(0.0)
    assert measured.ece_equal_count == pytest.approx(0.05)


def test_probability_of_one_is_in_the_last_bin() -> None:
    measured = reliability(np.ones(4), np.ones(4, np.bool_), OWNERS, seed=0)
    assert (measured.ece, measured.brier, len(measured.bins)) == (0.0, 0.0, 1)


def test_nothing_shown_gives_zeros() -> None:
    measured = reliability(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.intp), seed=0)
    assert (measured.count, measured.ece, measured.bins) == (0, 0.0, [])


def test_probabilities_that_come_true_have_almost_no_error() -> None:
    random = np.random.default_rng(7)
    chance = random.beta(1, 8, 20_000)
    measured = reliability(chance, random.random(20_000) < chance, np.repeat(np.arange(2_000), 10), seed=0)
    assert max(measured.ece, measured.ece_equal_count) < 0.01
    assert sum(one.low <= one.probability <= one.high for one in measured.bins) >= BIN_COUNT - 3


@given(pairs=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bins_hold_every_proposition_once_and_the_error_equals_a_loop(pairs: list[tuple[float, bool]]) -> None:
    chance, bought = np.array([one for one, _ in pairs]), np.array([one for _, one in pairs])
    measured = reliability(chance, bought, np.arange(len(pairs)), seed=0)
    assert sum(one.count for one in measured.bins) == len(pairs)
    assert sum(one.count * one.bought for one in measured.bins) == pytest.approx(bought.sum())
    error = 0.0
    for position in range(BIN_COUNT):
        inside = [pair for pair in pairs if min(int(pair[0] * BIN_COUNT), BIN_COUNT - 1) == position]
        error += abs(sum(one for one, _ in inside) - sum(one for _, one in inside)) / len(pairs)
    assert measured.ece == pytest.approx(error)
