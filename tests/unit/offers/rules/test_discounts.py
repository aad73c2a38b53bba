"""What each kind of discount takes off, worked by hand."""

import time
from collections.abc import Mapping, Sequence

import pytest

from app.offers.terms.basket import Basket
from tests.support.offers import basket, combine, coupon, given, line, off

CHEESE = [{"attribute": "category", "values": ["CHEESE"]}]
THREE_FOR_TWO = {"type": "n_for_m", "take": 3, "pay": 2}


def taken(
    discount: Mapping[str, object],
    lines: Basket,
    *,
    price_floor_minor: int | None = None,
    applies_to: Sequence[Mapping[str, object]] = (),
) -> dict[str, int]:
    """What one coupon takes off each line; empty when it is refused."""
    one = coupon("c", discount, price_floor_minor=price_floor_minor, applies_to=applies_to)
    combination = combine(lines, one)
    return off(combination, "c") if combination.applied else {}


@pytest.mark.parametrize(
    ("percent", "amounts", "expected"),
    [
        (10, [1000, 2000], {"0": 100, "1": 200}),
        # 10 % of 15 is 1.5, which goes up; 10 % of 14 is 1.4.
        (10, [15], {"0": 2}),
        (10, [14], {"0": 1}),
        # 10 % of all 30 is 3: rounding each line would have given 6.
        (10, [5, 5, 5, 5, 5, 5], {"0": 1, "1": 1, "2": 1}),
        (33.33, [100, 100], {"0": 34, "1": 33}),
        (12.5, [1004], {"0": 126}),
        (100, [999, 1], {"0": 999, "1": 1}),
    ],
)
def test_percent_is_of_the_sum_and_shared_by_price(
    percent: float, amounts: list[int], expected: dict[str, int]
) -> None:
    lines = basket(*(line(str(position), amount) for position, amount in enumerate(amounts)))
    assert taken({"type": "percent", "percent": percent}, lines) == expected


def test_percent_stops_at_its_maximum() -> None:
    half = {"type": "percent", "percent": 50, "max_discount_minor": 300}
    assert taken(half, basket(line("a", 1000), line("b", 2000))) == {"a": 100, "b": 200}
    assert taken(half, basket(line("a", 200), line("b", 400))) == {"a": 100, "b": 200}


def test_line_at_its_floor_does_not_pass_its_percent_on() -> None:
    lines = basket(line("a", 1000), line("b", 2000))
    assert taken({"type": "percent", "percent": 20}, lines, price_floor_minor=950) == {"a": 50, "b": 400}


def test_maximum_counts_what_floors_let_through() -> None:
    lines = basket(line("a", 1000), line("b", 2000))
    capped = {"type": "percent", "percent": 50, "max_discount_minor": 600}
    assert taken(capped, lines, price_floor_minor=1000) == {"b": 600}


@pytest.mark.parametrize(
    ("amount", "floor", "expected"),
    [
        (100, None, {"a": 33, "b": 67}),
        (9999, None, {"a": 1000, "b": 2000}),
        # Above the floor there are 200 and 1200: shared in that proportion.
        (700, 800, {"a": 100, "b": 600}),
        (9999, 800, {"a": 200, "b": 1200}),
    ],
)
def test_amount_is_shared_by_what_may_be_taken(amount: int, floor: int | None, expected: dict[str, int]) -> None:
    lines = basket(line("a", 1000), line("b", 2000))
    assert taken({"type": "amount", "amount_minor": amount}, lines, price_floor_minor=floor) == expected


def test_amount_for_some_products_leaves_the_others_alone() -> None:
    lines = basket(line("a", 300, category="CHEESE"), line("b", 2000))
    assert taken({"type": "amount", "amount_minor": 500}, lines, applies_to=CHEESE) == {"a": 300}


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        # a: 3 at 400, b: 2 at 500, c: 1 at 90.
        ({"price_minor": 100}, {"a": 900, "b": 800}),
        ({"price_minor": 450}, {"b": 100}),
        ({"price_minor": 0}, {"a": 1200, "b": 1000, "c": 90}),
        # The two pieces of b first, then one of the three of a.
        ({"price_minor": 100, "max_quantity": 3}, {"a": 300, "b": 800}),
        ({"price_minor": 100, "max_quantity": 1}, {"b": 400}),
    ],
)
def test_fixed_price_goes_to_the_dearest_pieces(fixed: Mapping[str, object], expected: dict[str, int]) -> None:
    lines = basket(line("a", 1200, 3), line("b", 1000, 2), line("c", 90))
    assert taken({"type": "fixed_price", **fixed}, lines) == expected


@pytest.mark.parametrize(
    ("quantity", "amount", "fixed", "expected"),
    [
        # 0.255 kg at 10.00 a kilo now cost 2.55.
        (0.255, 408, {"price_minor": 1000}, 153),
        # 0.75 kg at 9.99 would be 7.4925, so 7.49.
        (0.75, 1000, {"price_minor": 999}, 251),
        # 0.5 kg at 9.99 would be 4.995: a half goes up, to 5.00.
        (0.5, 1000, {"price_minor": 999}, 500),
        # One of two and a half kilos at 3.00, the others at 8.00: 3.00 + 12.00.
        (2.5, 2000, {"price_minor": 300, "max_quantity": 1}, 500),
    ],
)
def test_fixed_price_of_weighed_goods_goes_by_weight(
    quantity: float, amount: int, fixed: Mapping[str, object], expected: int
) -> None:
    assert taken({"type": "fixed_price", **fixed}, basket(line("a", amount, quantity))) == {"a": expected}


@pytest.mark.parametrize(
    ("discount", "lines", "expected"),
    [
        (THREE_FOR_TWO, [(300, 1), (200, 1), (100, 1)], {"0": 50, "1": 33, "2": 17}),
        (THREE_FOR_TWO, [(300, 1), (200, 1)], {}),
        # Two groups, dearest first: 500 500 400 and 400 100 100. The cheapest of each is free: 400 and 100.
        (THREE_FOR_TWO, [(200, 2), (800, 2), (1000, 2)], {"0": 50, "1": 200, "2": 250}),
        (THREE_FOR_TWO | {"max_groups": 1}, [(200, 2), (800, 2), (1000, 2)], {"1": 114, "2": 286}),
        # Seven pieces make two groups, the cheapest piece is in none.
        (THREE_FOR_TWO, [(700, 7)], {"0": 200}),
        # A free one of three for 10.00 is 3.33, two of three are 6.67.
        (THREE_FOR_TWO, [(1000, 3)], {"0": 333}),
        ({"type": "n_for_m", "take": 3, "pay": 1}, [(1000, 3)], {"0": 667}),
        # Weighed goods count with their whole kilos: two of 2.5 and one of 1.9.
        (THREE_FOR_TWO, [(2500, 2.5), (950, 1.9)], {"0": 400, "1": 100}),
        (THREE_FOR_TWO, [(2500, 2.5), (475, 0.95)], {}),
        # Three lines of one piece share it out like one line of three; the odd cent goes to the lower id.
        (THREE_FOR_TWO, [(100, 1), (100, 1), (100, 1)], {"0": 34, "1": 33, "2": 33}),
    ],
)
def test_cheapest_of_each_group_is_free(
    discount: Mapping[str, object], lines: list[tuple[int, float]], expected: dict[str, int]
) -> None:
    entered = basket(*(line(str(position), amount, quantity) for position, (amount, quantity) in enumerate(lines)))
    assert taken(discount, entered) == expected


def test_a_billion_pieces_cost_no_more_time_than_three() -> None:
    lines = basket(line("a", 10**15, 10.0**12), line("b", 10**15, 10.0**12 + 1))
    began = time.perf_counter()
    taken_off = taken(THREE_FOR_TWO, lines)
    assert time.perf_counter() - began < 0.1
    assert sum(taken_off.values()) == pytest.approx(2 * 10**15 / 3, rel=1e-9)


@pytest.mark.parametrize(
    ("points", "currency", "expected"),
    [
        ({"points": 50}, "EUR", 50),
        ({"points_per_major": 2}, "EUR", 38),
        ({"points": 5, "points_per_major": 1}, "JPY", 2004),
    ],
)
def test_points_are_given_for_whole_units(points: Mapping[str, object], currency: str, expected: int) -> None:
    lines = basket(line("a", 1000), line("b", 999), currency=currency)
    (applied,) = combine(lines, coupon("c", {"type": "points", **points})).applied
    assert (applied.points, applied.discount_minor, applied.cost_minor) == (expected, 0, 0)
    assert [(share.line_id, share.discount_minor) for share in applied.lines] == [("a", 0), ("b", 0)]


def test_points_cost_the_budget_and_count_what_is_left_to_pay() -> None:
    points = {"type": "points", "points_per_major": 1, "point_cost_minor": 3}
    combination = combine(basket(line("a", 1000)), coupon("p", points), coupon("q", {"type": "percent", "percent": 25}))
    assert [(one.coupon_id, one.discount_minor, one.points, one.cost_minor) for one in combination.applied] == [
        ("q", 250, 0, 250),
        ("p", 0, 7, 21),
    ]


def test_floor_of_weighed_goods_is_rounded_up() -> None:
    # 0.333 kg at no less than 10.00 a kilo: 3.33 would be right by weight, 333.0 exactly.
    assert taken({"type": "percent", "percent": 100}, basket(line("a", 500, 0.333)), price_floor_minor=1000) == {
        "a": 167
    }
    assert taken({"type": "percent", "percent": 100}, basket(line("a", 500, 0.3335)), price_floor_minor=1000) == {
        "a": 166
    }


def test_discounts_work_on_what_is_left_in_their_order() -> None:
    lines = basket(line("a", 3000, 3))
    combination = combine(
        lines,
        coupon("z-fixed", {"type": "fixed_price", "price_minor": 800}),
        coupon("a-amount", {"type": "amount", "amount_minor": 100}),
        coupon("b-percent", {"type": "percent", "percent": 10}),
        coupon("y-pieces", THREE_FOR_TWO),
    )
    # 3000 → 2400 → 1600 → 1440 → 1340.
    assert list(given(combination).items()) == [
        ("z-fixed", 600),
        ("y-pieces", 800),
        ("b-percent", 160),
        ("a-amount", 100),
    ]


def test_discounts_of_lines_come_before_those_of_the_basket() -> None:
    lines = basket(line("a", 1000, category="CHEESE"), line("b", 1000))
    combination = combine(
        lines,
        coupon("a", {"type": "percent", "percent": 10}),
        coupon("b", {"type": "percent", "percent": 50}, applies_to=CHEESE),
    )
    assert list(given(combination).items()) == [("b", 500), ("a", 150)]
