"""Ranking metrics against numbers worked by hand."""

import numpy as np
import pytest

from app.domain import Ints
from training.metrics import METRIC_NAMES, one_customer, rank_metrics

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
