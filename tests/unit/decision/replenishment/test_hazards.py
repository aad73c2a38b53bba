"""Columns and chances of buying again, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.decision.replenishment.hazards import (
    COLUMNS,
    Pairs,
    chance_within,
    daily_hazards,
    has_repeated,
    in_groups,
    median_wait,
    people_of,
    rebuy_columns,
    terms,
)
from app.decision.replenishment.interval import interval_reason
from app.errors import BundleRefused
from app.model.replenishment import RebuyModel, rebuy_models, term_count

ENDS = np.array([7, 14], np.float32)
Row = tuple[int, int, float, float, float, float, float]


def pairs(*rows: Row) -> Pairs:
    """Rows of (person, product, count, weight over 28 and 112 days, first day, last day)."""
    person, item, *numbers = (np.array(column) for column in zip(*rows, strict=True))
    count, weight_28d, weight_112d, first_day, last_day = (column.astype(np.float32) for column in numbers)
    ones = np.ones(len(rows), np.float32)
    codes = person.astype(np.int32), item.astype(np.int32)
    return Pairs(*codes, count, weight_28d, weight_112d, first_day, last_day, ones, count)


BOUGHT = pairs((0, 0, 4, 1.5, 2.5, 100, 130), (0, 2, 1, 0.5, 0.75, 135, 135), (1, 1, 2, 1, 2, 90, 120))


def test_columns_are_those_worked_by_hand() -> None:
    habits = np.array([[np.log(12), 0.2, 3.0], [0, 0, 0], [0, 0, 0]], np.float32)
    columns = rebuy_columns(BOUGHT, people_of(BOUGHT, 2), habits, now_day=140.5)
    expected = {
        "count": np.log(4),
        "weight_28d": np.log(1.51),
        "weight_112d": np.log(2.51),
        "since": np.log1p(10.5),
        "gap": np.log1p((30 + 12) / 4),
        "product_count": 0,
        "visit_since": np.log1p(5.5),
        "lines_28d": np.log(2.1),
        "lines_112d": np.log1p(3.25),
        "owned_count": np.log1p(2),
        "repeat_share": (1 + 1) / (2 + 2),
        "usual_gap": np.log(12),
        "trend": 0.2,
        "popularity": 3.0,
    }
    assert tuple(expected) == COLUMNS
    assert dict(zip(COLUMNS, columns[0].tolist(), strict=True)) == pytest.approx(expected, rel=1e-5)


def test_group_that_training_did_not_know_has_the_habits_of_the_last_row() -> None:
    habits = np.array([[1, 0, 0], [2, 0.5, 7]], np.float32)
    columns = rebuy_columns(pairs((0, 40, 2, 1, 1, 0, 9)), people_of(BOUGHT, 2), habits, now_day=10)
    assert columns[0, -3:].tolist() == [2, 0.5, 7]


def test_products_of_a_category_are_summed_per_person() -> None:
    bought = pairs(
        (0, 0, 4, 1.5, 2.5, 100, 130), (0, 1, 2, 0.5, 0.75, 90, 95), (0, 2, 9, 9, 9, 0, 0), (1, 1, 1, 1, 1, 7, 7)
    )
    found = in_groups(bought, np.array([3, 3, -1, 3], np.int32))
    assert (found.person.tolist(), found.group.tolist()) == ([0, 1], [3, 3])
    first = {name: getattr(found, name)[0] for name in Pairs.__slots__[2:]}
    assert first == {
        "count": 6,
        "weight_28d": 2,
        "weight_112d": 3.25,
        "first_day": 90,
        "last_day": 130,
        "product_count": 2,
        "most": 4,
    }


@pytest.mark.parametrize(
    ("row", "repeated"),
    [((0, 0, 1, 1, 1, 50, 50), False), ((0, 0, 2, 1, 1, 50, 50), True), ((0, 0, 2, 1, 1, 50, 60), True)],
)
def test_repeated_is_what_was_bought_twice(row: Row, repeated: bool) -> None:
    assert has_repeated(pairs(row)).tolist() == [repeated]


def test_two_products_of_one_basket_are_no_repeat_of_their_category() -> None:
    same_day = pairs((0, 0, 1, 1, 1, 50, 50), (0, 1, 1, 1, 1, 50, 50))
    later = pairs((0, 0, 1, 1, 1, 50, 50), (0, 1, 1, 1, 1, 57, 57))
    codes = np.zeros(2, np.int32)
    assert has_repeated(in_groups(same_day, codes)).tolist() == [False]
    assert has_repeated(in_groups(later, codes)).tolist() == [True]


def test_terms_are_one_then_columns_then_their_products() -> None:
    columns = np.array([[3, 5, 8]], np.float32)
    made = terms(columns, np.array([1, 1, 8], np.float32), np.array([1, 2, 0], np.float32))
    assert made.tolist() == [[1, 2, 2, 0, 4, 4, 0, 4, 0, 0]]
    assert made.shape[1] == term_count(3)


def test_far_outliers_count_as_four_deviations() -> None:
    ones = np.ones(1, np.float32)
    assert terms(np.array([[1e6]], np.float32), 0 * ones, ones).tolist() == [[1, 4, 16]]


def test_chance_adds_up_the_rates_of_the_days() -> None:
    hazards = np.array([[0.1, 0.2]])
    for days, summed in ((3, 0.3), (7, 0.7), (10, 1.3), (20, 0.7 + 1.4 + 1.2)):
        assert chance_within(hazards, ENDS, days=days) == pytest.approx([1 - np.exp(-summed)])


Rates = st.lists(st.floats(1e-4, 3), min_size=2, max_size=2)


@given(Rates, st.floats(0, 56), st.floats(0, 56))
def test_chance_never_falls_with_the_horizon(rates: list[float], one: float, other: float) -> None:
    near, far = sorted((one, other))
    hazards = np.array([rates])
    assert chance_within(hazards, ENDS, days=near)[0] <= chance_within(hazards, ENDS, days=far)[0]


@given(Rates)
def test_half_of_the_chance_lies_within_the_median_wait(rates: list[float]) -> None:
    hazards = np.array([rates])
    wait = median_wait(hazards, ENDS)[0]
    assert chance_within(hazards, ENDS, days=wait)[0] == pytest.approx(0.5)


def model(**changed: object) -> dict[str, object]:
    """A one-column model's document: within 7 days by even odds, within the next 7 by odds of e to 1."""
    weights = [[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    return {
        "columns": ["count"], "mean": [0.0], "scale": [1.0], "weights": weights, "span_ends_days": [7.0, 14.0]
    } | changed  # fmt: skip


def habits(_: str) -> np.ndarray:
    return np.zeros((2, 3), np.float32)


def test_odds_of_a_span_are_the_chance_of_buying_within_it() -> None:
    found = rebuy_models({"product": model()}, habits)["product"]
    hazards = daily_hazards(found, np.ones((1, 1), np.float32))
    assert chance_within(hazards, ENDS, days=7) == pytest.approx([0.5])
    assert chance_within(hazards, ENDS, days=14) == pytest.approx([1 - 0.5 * (1 - 1 / (1 + np.exp(-1)))])


def test_model_survives_its_document() -> None:
    found = rebuy_models({"product": model()}, habits)["product"]
    again = rebuy_models({"product": found.document()}, habits)["product"]
    for name in RebuyModel.__slots__:
        assert np.array_equal(getattr(found, name), getattr(again, name))


@pytest.mark.parametrize(
    "broken", [{"mean": [0.0, 1.0]}, {"weights": [[0.0, 1.0]]}, {"weights": [[0.0, float("nan")]] * 3}]
)
def test_model_that_does_not_fit_its_columns_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(BundleRefused, match="product"):
        rebuy_models({"product": model(**broken)}, habits)


@pytest.mark.parametrize(
    ("interval_days", "since_days", "text"),
    [
        (11, 10, "You buy this about every 11 days, last 10 days ago"),
        (1, 1, "You buy this about every day, last yesterday"),
        (0, -0.4, "You last bought this today"),
        (7, 0.4, "You buy this about every 7 days, last yesterday"),
        (7, -1, "You buy this about every 7 days"),
        (0, 20_000, "You bought this before"),
    ],
)
def test_purchase_interval_in_words(interval_days: int, since_days: float, text: str) -> None:
    assert interval_reason(interval_days, since_days) == ("buy_again", text)
