"""Coverage, novelty and diversity of lists, worked by hand."""

import numpy as np
import pytest

from training.metrics.exposure import (
    attribute_diversity,
    coverage,
    factor_diversity,
    novelty,
    popularity_groups,
)

FACTORS = np.array([[1, 0], [2, 0], [0, 3], [0, 0], [-1, 0]], np.float32)


def slates(*rows: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    return np.array(rows, np.int32)


def test_coverage_counts_each_shown_product_once() -> None:
    assert coverage(slates([0, 1, 2], [1, 0, -1]), 6) == pytest.approx(0.5)
    assert coverage(slates([-1, -1, -1]), 6) == 0.0


def test_novelty_is_the_mean_of_bits_and_an_empty_list_does_not_count() -> None:
    # Bought by 4, 2, 1 and 0 of 4 customers: 0, 1, 2 and, as if bought once, 2 bits.
    bits = novelty(slates([0, 1], [1, -1], [-1, -1], [2, 3]), np.array([4, 2, 1, 0]), 4)
    assert bits.tolist() == pytest.approx([0.5, 1.0, 2.0])


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ([0, 1, -1], 0.0),  # one direction
        ([0, 2, -1], 1.0),  # at right angles
        ([0, 4, -1], 2.0),  # opposite
        ([0, 1, 2], 1 - 1 / 3),
        ([0, 3, -1], 1.0),  # without factors
    ],
)
def test_factor_diversity_is_one_less_the_mean_cosine(shown: list[int], expected: float) -> None:
    assert factor_diversity(slates(shown), FACTORS).tolist() == pytest.approx([expected])


@pytest.mark.parametrize(
    ("shown", "expected"),
    [([0, 1, -1], 0.0), ([0, 2, -1], 1.0), ([0, 1, 2], 2 / 3), ([0, 3, -1], 1.0), ([3, 4, -1], 1.0)],
)
def test_attribute_diversity_is_the_share_of_pairs_that_differ(shown: list[int], expected: float) -> None:
    codes = np.array([7, 7, 8, -1, -1], np.int32)
    assert attribute_diversity(slates(shown), codes).tolist() == pytest.approx([expected])


def test_list_of_one_product_has_no_diversity() -> None:
    assert len(factor_diversity(slates([0, -1]), FACTORS)) == 0
    assert len(attribute_diversity(slates([0, -1]), np.zeros(5, np.int32))) == 0


def test_popularity_groups_share_past_sales_equally() -> None:
    sales = np.array([20, 5, 15, 5, 15, 20, 20])
    groups = popularity_groups(slates([0, 5, -1], [0, 1, 6]), [np.array([1, 3], np.int32)], sales)
    # By sales: 0, 5, 6 (20 each), 2, 4 (15 each), 1, 3 (5 each).
    assert [group.product_count for group in groups] == [1, 1, 1, 2, 2]
    assert [group.shown for group in groups] == pytest.approx([2 / 5, 1 / 5, 1 / 5, 0, 1 / 5])
    assert [group.bought for group in groups] == [0, 0, 0, 0, 1]
