"""What sources find, worked by hand."""

import numpy as np
import pytest

from app.domain import Ints
from training.metrics.source_recall import contributions


def items(*values: int) -> Ints:
    return np.array(values, np.int32)


def test_shares_of_the_truth_are_counted_per_source_and_for_all_together() -> None:
    by_source = [
        {"similar": items(1, 2, 9), "popular": items(2, 3)},
        {"similar": items(), "popular": items(5)},
    ]
    found = contributions(by_source, [items(1, 2, 3, 4), items(5)])
    similar, popular = found.each["similar"], found.each["popular"]
    assert (similar.candidates.tolist(), popular.candidates.tolist()) == ([3, 0], [2, 1])
    assert (similar.found.tolist(), popular.found.tolist()) == ([1 / 2, 0], [1 / 2, 1])
    assert (similar.only.tolist(), popular.only.tolist()) == ([1 / 4, 0], [1 / 4, 1])
    assert found.found_by_any.tolist() == pytest.approx([3 / 4, 1])


def test_recall_alone_counts_ten_distinct_products_in_the_sources_own_order() -> None:
    twice = items(*(number for number in range(20, 29) for _ in range(2)), 1, 2)
    found = contributions([{"together": twice}], [items(1, 2)])
    assert found.each["together"].recall.tolist() == [1 / 2]
    assert found.each["together"].candidates.tolist() == [11]


def test_source_that_failed_for_a_customer_found_nothing_there() -> None:
    found = contributions([{"b": items(1)}, {"a": items(1), "b": items(1)}], [items(1), items(1)])
    assert found.each["a"].found.tolist() == [0, 1]
    assert found.each["b"].only.tolist() == [1, 0]


def test_no_customers_have_no_sources() -> None:
    assert contributions([], []).each == {}
