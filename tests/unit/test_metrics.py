"""Ranking metrics against numbers worked by hand."""

import numpy as np
import pytest

from app.domain import Ints
from training.metrics import METRIC_NAMES, mean_intervals, one_customer, paired_interval, rank_metrics

LOG3 = 1 / np.log2(3)


def items(*values: int) -> Ints:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("recommended", "truth", "k", "expected"),
    [
        # hit, recall, precision, ndcg, mrr, map
        (items(1, 2, 3), items(1), 3, (1, 1, 1 / 3, 1, 1, 1)),
        (items(2, 1, 3), items(1), 3, (1, 1, 1 / 3, LOG3, 1 / 2, 1 / 2)),
        (items(2, 3, 1), items(1), 2, (0, 0, 0, 0, 0, 0)),
        (items(1, 9, 2), items(1, 2, 3, 4), 3, (1, 1 / 2, 2 / 3, 1.5 / (1.5 + LOG3), 1, (1 + 2 / 3) / 3)),
        (items(5), items(5, 6), 10, (1, 1 / 2, 1 / 10, 1 / (1 + LOG3), 1, 1 / 2)),
        (items(), items(5), 10, (0, 0, 0, 0, 0, 0)),
    ],
)
def test_metrics_of_one_list_equal_the_worked_ones(
    recommended: Ints, truth: Ints, k: int, expected: tuple[float, ...]
) -> None:
    assert one_customer(recommended, truth, k=k) == pytest.approx(expected)


def test_customers_without_truth_do_not_count() -> None:
    measured = rank_metrics([items(1), items(1)], [items(1), items()], k=1)
    assert measured == dict.fromkeys(METRIC_NAMES, 1.0)


def test_no_customers_give_zeros() -> None:
    assert rank_metrics([], [], k=5) == dict.fromkeys(METRIC_NAMES, 0.0)


def test_one_list_for_everybody_scores_its_share_of_buyers() -> None:
    truth = [items(0)] * 3 + [items(1)] * 7
    assert rank_metrics([items(1)] * 10, truth, k=1)["hit"] == pytest.approx(0.7)


def test_interval_of_a_mean_is_about_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.1, 1.0, 2500)
    mean, low, high = paired_interval(values, seed=3)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - 1.96 * 0.02, mean + 1.96 * 0.02), abs=0.002)


def test_the_same_seed_draws_the_same_interval_and_another_a_different_one() -> None:
    values = np.random.default_rng(1).normal(size=100)
    assert paired_interval(values, seed=3) == paired_interval(values, seed=3)
    assert paired_interval(values, seed=3) != paired_interval(values, seed=4)


def test_equal_differences_leave_no_doubt_and_none_at_all_give_zeros() -> None:
    assert paired_interval([0.25] * 9, seed=0) == (0.25, 0.25, 0.25)
    assert paired_interval([], seed=0) == (0.0, 0.0, 0.0)


def test_intervals_of_many_columns_equal_those_of_each_alone() -> None:
    values = np.random.default_rng(1).random((50, 3))
    together = mean_intervals(values, seed=2)
    alone = [paired_interval(values[:, column], seed=2) for column in range(3)]
    assert np.allclose(np.stack(together, axis=1), alone)


def test_about_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(5)
    held = [low <= 0.3 <= high for _, low, high in (paired_interval(random.random(200) < 0.3) for _ in range(200))]
    assert 0.90 <= np.mean(held) <= 0.99
