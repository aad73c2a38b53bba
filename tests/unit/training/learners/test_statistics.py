"""Counts in worlds small enough to count by hand."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tests.support.rows import after, history_of
from training.data.dataset import Dataset, load_interactions, purchase_pairs
from training.learners.statistics import (
    MAX_BASKET_ITEMS,
    MIN_GROUP_BUYERS,
    keep_strongest,
    neighbours,
    popularity,
    repeat_rate,
    trending,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
Line = tuple[str, str, float | None, str, str]


def dataset(*lines: Line, departments: dict[str, str] | None = None) -> Dataset:
    """Lines of (customer, product, day, basket, store)."""
    rows = (
        {"customer_id": who, "product_id": what, "time": after(START, day), "basket_id": basket, "store_id": store}
        for who, what, day, basket, store in lines
    )
    given = departments or {}
    table = pl.DataFrame({"product_id": list(given), "department": list(given.values())})
    return load_interactions(history_of(rows, type="purchase"), table if given else None)


def by_product(data: Dataset, values: np.ndarray) -> dict[str, float]:
    return dict(zip(data.product_ids, map(float, values), strict=True))


def test_popularity_counts_buyers_not_lines_and_fades() -> None:
    data = dataset(("1", "new", 28, "b", "s"), ("2", "old", 0, "b", "s"), ("2", "old", 0, "c", "s"))
    shares = by_product(data, popularity(purchase_pairs(data), 2, as_of_day=data.as_of_day))
    assert shares == pytest.approx({"new": 1.0, "old": 0.5})


def test_popularity_is_plain_buyers_without_timestamps() -> None:
    data = dataset(("1", "a", None, "x", "s"), ("2", "a", None, "y", "s"), ("1", "b", None, "x", "s"))
    shares = by_product(data, popularity(purchase_pairs(data), 2, as_of_day=data.as_of_day))
    assert shares == pytest.approx({"a": 1.0, "b": 0.5})


def test_repeat_rate_is_pulled_towards_the_overall_share() -> None:
    data = dataset(("1", "a", 0, "x", "s"), ("1", "a", 1, "y", "s"), ("2", "b", 0, "z", "s"))
    rates = by_product(data, repeat_rate(purchase_pairs(data), 2))
    assert rates == pytest.approx({"a": (1 + 10 * 0.5) / 11, "b": (0 + 10 * 0.5) / 11})


def test_neighbours_are_those_of_the_same_basket_with_the_shrunk_cosine() -> None:
    data = dataset(
        ("1", "bread", 0, "x", "s"),
        ("1", "butter", 0, "x", "s"),
        ("1", "soap", 0, "y", "s"),
        ("2", "bread", 0, "z", "s"),
    )
    found = neighbours(data, seed=1)
    bread, butter, soap = (data.product_ids.index(name) for name in ("bread", "butter", "soap"))
    assert found.index[bread].tolist() == [butter] + [-1] * 31
    assert found.score[bread, 0] == pytest.approx(1 / np.sqrt(2) * 1 / 6)
    assert found.index[butter, 0] == bread
    assert (found.index[soap] == -1).all()
    assert (found.score[soap] == 0).all()


def test_neighbours_run_strongest_first_and_never_name_the_item_itself() -> None:
    random = np.random.default_rng(3)
    lines = [(f"c{b}", f"p{p}", 0.0, "b", "s") for b in range(60) for p in random.choice(50, 8, replace=False)]
    found = neighbours(dataset(*lines), seed=1)
    assert (np.diff(found.score, axis=1) <= 0).all()
    assert found.score.max() <= 1
    assert not (found.index == np.arange(len(found.index))[:, None]).any()


def test_blocks_of_any_size_give_the_same_neighbours() -> None:
    lines = [(f"c{b}", f"p{(b * p) % 11}", 0.0, "b", "s") for b in range(20) for p in range(4)]
    whole = neighbours(dataset(*lines), seed=1)
    assert np.array_equal(neighbours(dataset(*lines), seed=1, pair_budget=1).index, whole.index)


def test_strongest_of_each_row_are_those_of_a_plain_sort_and_equal_ones_run_by_product() -> None:
    random = np.random.default_rng(3)
    row = np.sort(random.integers(0, 20, 600)).astype(np.int32)
    other = random.permutation(600).astype(np.int32)
    # Few values, so that the last place is mostly drawn among equals.
    strength = (random.integers(1, 4, 600) / 4).astype(np.float32)
    index, score = np.full((21, 5), -1, np.int32), np.zeros((21, 5), np.float32)
    keep_strongest(index, score, row, other, strength)
    for one in range(21):
        theirs = sorted((-strength[place], other[place]) for place in np.flatnonzero(row == one))[:5]
        assert [product for _, product in theirs] == [product for product in index[one] if product >= 0]
        assert [-negative for negative, _ in theirs] == score[one, : len(theirs)].tolist()


def test_huge_basket_is_thinned_not_refused() -> None:
    lines = [("1", f"p{p:05}", None, "x", "s") for p in range(MAX_BASKET_ITEMS + 500)]
    found = neighbours(dataset(*lines), seed=1)
    assert (found.index >= 0).any(axis=1).sum() == MAX_BASKET_ITEMS


def test_trending_lists_each_store_with_enough_buyers_by_fresh_sales() -> None:
    buyers = range(MIN_GROUP_BUYERS)
    lines: list[Line] = [(f"c{c}", "milk", 30.0, "b", "north") for c in buyers]
    lines += [(f"c{c}", "snow", 0.0, "a", "north") for c in buyers]
    lines += [("c0", "sun", 30.0, "d", "south")]
    data = dataset(*lines, departments={"milk": "DAIRY", "snow": "TOYS", "sun": "TOYS"})
    lists = trending(data)
    assert lists.groups == ["all", "store:north", "segment:DAIRY", "segment:TOYS"]
    assert data.product_ids[lists.index[1, 0]] == "milk"
    assert lists.score[1, :2] == pytest.approx([1.0, 2 ** (-30 / 7)])
    assert (lists.index[1, 2:] == -1).all()
    assert sorted(data.product_ids[item] for item in lists.index[3, :2]) == ["snow", "sun"]


def test_empty_history_still_has_the_overall_list() -> None:
    lists = trending(dataset())
    assert lists.groups == ["all"]
    assert (lists.index == -1).all()
