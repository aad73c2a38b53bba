"""Splits hold back the next basket and never leak a later line."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import Ints
from tests.support.rows import after, history_of
from training.data.dataset import Dataset, load_interactions
from training.data.split import make_splits, random_split, time_split

START = datetime(2026, 1, 1, tzinfo=UTC)


def dataset(*lines: tuple[str, str, float | None, str | None]) -> Dataset:
    """Lines of (customer, product, day, basket)."""
    rows = (
        {"customer_id": who, "product_id": what, "time": after(START, day), "basket_id": basket}
        for who, what, day, basket in lines
    )
    return load_interactions(history_of(rows, type="purchase"), None)


def products(data: Dataset, items: Ints) -> list[str]:
    return sorted(data.product_ids[item] for item in items)


def weekly(customer_count: int = 30, week_count: int = 30) -> Dataset:
    who = range(customer_count)
    return dataset(
        *((f"c{c}", f"p{(c + week) % 7}", 7.0 * week + c / 100, None) for week in range(week_count) for c in who)
    )


def test_truth_is_the_first_basket_after_the_cut_only() -> None:
    data = dataset(
        ("1", "old", 0, None), ("1", "x", 95, "b1"), ("1", "y", 95, "b1"), ("1", "z", 96, "b2"), ("2", "old", 100, None)
    )
    split = time_split(data)
    assert {data.customer_ids[code]: products(data, items) for code, items in split.truth.items()} == {"1": ["x", "y"]}


def test_customer_without_a_past_has_no_query() -> None:
    data = dataset(("1", "a", 0, None), ("1", "a", 99, None), ("new", "a", 100, None))
    assert [data.customer_ids[code] for code in time_split(data).truth] == ["1"]


@given(days=st.lists(st.floats(0, 300), min_size=2, max_size=40), back=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_no_line_at_or_after_the_cut_is_trained_on(days: list[float], back: int) -> None:
    data = dataset(*((f"c{position % 3}", f"p{position % 5}", day, None) for position, day in enumerate(days)))
    train = time_split(data, windows_back=back).train
    assert (train.day < train.as_of_day).all()
    assert train.line_count == (data.day < train.as_of_day).sum()


@pytest.mark.parametrize(
    ("last", "first", "expected"),
    [
        (20 / 24, 1 + 8 / 24, 1 + 8 / 24),  # closed in the evening, open again in the morning
        (23.9 / 24, 23.95 / 24, 1.0),  # sells around the clock: the coming day
        (4 / 24, 5 / 24, 5 / 24),  # the day has just begun
        (0.0, 1.0, 1.0),  # days without a time of day
    ],
)
def test_where_there_are_promotions_queries_are_of_the_day_in_which_the_shop_next_sells(
    last: float, first: float, expected: float
) -> None:
    lines = [("1", "a", 0.0, "b0"), ("1", "a", 100 + last, "b1"), ("1", "a", 100 + first, "b2")]
    # The history's last line is one window later, at the hour of the cut.
    data = dataset(*lines, ("1", "a", 111 + last / 0.9, "b3"))
    span = float(np.ptp(data.day))
    split = time_split(data, windows_back=(data.as_of_day - data.day[1]) / (0.1 * span) - 1e-9)
    assert split.query_day is not None
    assert abs(split.query_day - (START.timestamp() / 86_400 + 100 + expected)) < 1e-3


def test_truth_lies_within_its_own_window() -> None:
    newest, older = make_splits(weekly(), seed=1)
    window = newest.train.as_of_day - older.train.as_of_day
    assert 0 < window <= 28
    assert older.train.line_count < newest.train.line_count


def test_random_split_where_there_are_no_timestamps() -> None:
    data = dataset(*((f"c{c}", f"p{p}", None, None) for c in range(30) for p in range(10)))
    (split,) = make_splits(data, seed=1)
    assert split.kind == "random"
    # A ninth of ten, rounded up.
    assert {len(items) for items in split.truth.values()} == {2}
    # Of the whole history an eighth is bought next.
    assert split.growth == pytest.approx(10 / 8 / 2)
    assert split.train.line_count == 30 * 8


def test_random_split_holds_back_one_whole_basket_of_several() -> None:
    data = dataset(*(("1", f"p{p}", None, f"b{p // 3}") for p in range(9)))
    split = random_split(data, seed=1)
    held = {int(data.product_ids[item][1:]) // 3 for item in split.truth[0]}
    assert len(held) == 1
    assert len(split.truth[0]) == 3
    assert split.growth == 1


def test_customer_with_a_single_item_keeps_it() -> None:
    split = random_split(dataset(("1", "a", None, None)), seed=1)
    assert split.truth == {}
    assert split.train.line_count == 1


def test_few_customers_after_the_cut_make_the_split_random() -> None:
    data = dataset(("1", "a", 0, None), ("1", "b", 99, None), ("2", "a", 100, None))
    assert [split.kind for split in make_splits(data, seed=1)] == ["random"]


@pytest.mark.parametrize("seed", [1, 2])
def test_same_seed_gives_the_same_split(seed: int) -> None:
    data = dataset(*((f"c{c}", f"p{p}", None, None) for c in range(5) for p in range(10)))
    first, second = random_split(data, seed=seed), random_split(data, seed=seed)
    assert all(np.array_equal(first.truth[code], second.truth[code]) for code in first.truth)
    assert np.array_equal(first.train.item, second.train.item)
