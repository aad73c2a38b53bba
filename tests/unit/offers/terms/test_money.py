"""Sums shared out to the last unit."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.offers.terms.money import MAX_MINOR, exact, format_amount, half_up, minor_per_major, shares

WEIGHTS = st.lists(st.integers(0, 10**9) | st.floats(0, 1e6), max_size=12)


@given(st.integers(0, 10**12), WEIGHTS.filter(any))
def test_shares_add_up_and_none_is_a_whole_unit_off(total: int, weights: list[int | float]) -> None:
    shared = shares(total, weights)
    whole = sum(map(Fraction, weights))
    assert sum(shared) == total
    assert all(
        abs(one - total * Fraction(weight) / whole) < 1 and (one == 0 if weight == 0 else one >= 0)
        for one, weight in zip(shared, weights, strict=True)
    )


@given(st.lists(st.integers(0, 10**6), min_size=1).filter(any), st.data())
def test_nobody_gets_more_than_his_weight_of_a_part_of_all_weights(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    assert all(one <= weight for one, weight in zip(shares(total, weights), weights, strict=True))


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (1, [1, 1], [1, 0]),
        (2, [0, 5, 0, 5], [0, 1, 0, 1]),
        (10, [0.5, 0.25, 0.25], [5, 3, 2]),
        (100, [3, 2, 1], [50, 33, 17]),
        (0, [0, 0], [0, 0]),
        (0, [], []),
    ],
)
def test_largest_remainder_gets_the_last_cent_and_the_earlier_of_equals(
    total: int, weights: list[int], expected: list[int]
) -> None:
    assert shares(total, weights) == expected


@pytest.mark.parametrize(
    ("total", "weights"), [(1, [0, 0]), (1, []), (-1, [1]), (1, [-1, 2]), (1, [float("nan")]), (1, [float("inf")])]
)
def test_what_cannot_be_shared_is_refused(total: int, weights: list[float]) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        shares(total, weights)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"), [(1, 2, 1), (3, 2, 2), (149, 100, 1), (150, 100, 2), (0, 7, 0)]
)
def test_half_goes_up(numerator: int, denominator: int, expected: int) -> None:
    assert half_up(numerator, denominator) == expected


def test_quantity_is_the_decimal_that_was_written_down() -> None:
    assert [exact(0.3), exact(2.0), exact(1e-7)] == [Fraction(3, 10), 2, Fraction(1, 10**7)]


def test_currencies_have_their_own_minor_units() -> None:
    assert [minor_per_major(currency) for currency in ("EUR", "JPY", "KWD")] == [100, 1, 1000]


@pytest.mark.parametrize(
    ("amount_minor", "currency", "expected"),
    [
        (0, "EUR", "0.00"),
        (5, "EUR", "0.05"),
        (123_450, "EUR", "1234.50"),
        (-7, "EUR", "-0.07"),
        (1234, "JPY", "1234"),
        (1234, "KWD", "1.234"),
        (MAX_MINOR, "EUR", "90071992547409.91"),
    ],
)
def test_amount_has_the_decimals_of_its_currency(amount_minor: int, currency: str, expected: str) -> None:
    assert format_amount(amount_minor, currency) == expected


def test_thousands_are_separated_where_they_are_wanted() -> None:
    assert format_amount(-123_456_789, "EUR", thousands=",") == "-1,234,567.89"
