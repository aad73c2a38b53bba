"""Ranking metrics against numbers worked by hand, and against two other ways to compute them."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import Ints
from benchmarks.ranking.ranked import mean_metrics
from training.metrics.ranking import (
    METRIC_NAMES,
    found_positions,
    mean_intervals,
    one_customer,
    paired_interval,
    per_customer,
    rank_metrics,
    ratio_intervals,
    side_by_side,
    truth_sizes,
)

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


Lists = list[tuple[list[int], list[int]]]
PRODUCTS = st.lists(st.integers(0, 30), unique=True, max_size=25)
PAIRS = st.lists(st.tuples(PRODUCTS, PRODUCTS.filter(bool)), min_size=1, max_size=8)


@given(pairs=PAIRS, k=st.integers(1, 20))
def test_metrics_of_many_lists_equal_loops_over_ranks(pairs: Lists, k: int) -> None:
    truth = [items(*wanted) for _, wanted in pairs]
    found = found_positions(side_by_side([items(*shown) for shown, _ in pairs], k=20), truth)
    measured = per_customer(found, truth_sizes(truth), k=k)
    assert np.allclose(measured, [looped(shown, set(wanted), k) for shown, wanted in pairs])


def looped(shown: list[int], wanted: set[int], k: int) -> list[float]:
    """The six metrics as a textbook's loop has them."""
    finds, gain, precisions, first = 0, 0.0, 0.0, 0.0
    for rank, product in enumerate(shown[:k], start=1):
        if product in wanted:
            finds += 1
            gain += 1 / log2(rank + 1)
            precisions += finds / rank
            first = first or 1 / rank
    best = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
    hit = float(finds > 0)
    return [hit, finds / len(wanted), finds / k, gain / best, first, precisions / min(k, len(wanted))]


@given(pairs=PAIRS, k=st.integers(1, 20))
def test_means_equal_those_of_the_benchmarks_own_calculation(pairs: Lists, k: int) -> None:
    measured = rank_metrics([items(*shown) for shown, _ in pairs], [items(*wanted) for _, wanted in pairs], k=k)
    names = [str(row) for row in range(len(pairs))]
    lists = {name: [str(product) for product in shown] for name, (shown, _) in zip(names, pairs, strict=True)}
    truth = {name: frozenset(map(str, wanted)) for name, (_, wanted) in zip(names, pairs, strict=True)}
    for name, figure in mean_metrics(lists, truth, k=k).items():
        assert measured[name.split("@")[0]] == pytest.approx(figure, abs=6e-5)


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


def test_share_of_places_draws_all_places_of_a_customer_together() -> None:
    hits, shown = np.array([[2.0], [0.0], [1.0]]), np.array([[2.0], [1.0], [1.0]])
    share, low, high = ratio_intervals(hits, shown, seed=0)
    assert (share[0], low[0], high[0]) == pytest.approx((3 / 4, 0.0, 1.0))
