"""Which coupons are used together, and the reason of each that is not."""

from dataclasses import replace

import pytest

from app.offers.rules.combination import MAX_COMBINED, Capacity
from app.offers.terms.reasons import ReasonCode, Refusal
from tests.support.offers import ANYBODY, FIVE_EUROS, TEN_PERCENT, basket, combine, coupon, given, line, terms

TEN_EUROS = basket(line("a", 400), line("b", 600))
LIMIT = Refusal(ReasonCode.CUSTOMER_LIMIT_REACHED, "at most 1 per customer", 1, 1)
BUDGET = Refusal(ReasonCode.BUDGET_EXHAUSTED, "the campaign's budget does not cover it")


def amount(minor: int) -> dict[str, object]:
    """So much off."""
    return {"type": "amount", "amount_minor": minor}


def reason_of(refusal: Refusal) -> tuple[object, ...]:
    """What programs read of a refusal."""
    return (refusal.code, refusal.required, refusal.actual, refusal.pointer)


def test_combinable_coupons_are_used_together() -> None:
    combination = combine(TEN_EUROS, coupon("x", TEN_PERCENT), coupon("y", FIVE_EUROS))
    assert (given(combination), combination.refused) == ({"x": 100, "y": 500}, {})


def test_coupon_that_is_used_alone_wins_when_it_gives_more() -> None:
    alone = coupon("alone", amount(650), combinable=False)
    combination = combine(TEN_EUROS, coupon("x", TEN_PERCENT), coupon("y", FIVE_EUROS), alone)
    assert given(combination) == {"alone": 650}
    assert {key: reason_of(one) for key, one in combination.refused.items()} == {
        "x": (ReasonCode.NOT_COMBINABLE, "combinable", "alone", None),
        "y": (ReasonCode.NOT_COMBINABLE, "combinable", "alone", None),
    }


def test_coupon_that_is_used_alone_is_left_out_when_others_give_more() -> None:
    combination = combine(
        TEN_EUROS, coupon("x", TEN_PERCENT), coupon("y", FIVE_EUROS), coupon("alone", amount(599), combinable=False)
    )
    assert given(combination) == {"x": 100, "y": 500}
    assert reason_of(combination.refused["alone"]) == (ReasonCode.NOT_COMBINABLE, "alone", "x,y", "/combinable")


def test_group_has_one_place() -> None:
    combination = combine(
        TEN_EUROS, coupon("x", TEN_PERCENT, group="g"), coupon("y", FIVE_EUROS, group="g"), coupon("z", TEN_PERCENT)
    )
    assert given(combination) == {"z": 100, "y": 500}
    assert reason_of(combination.refused["x"]) == (ReasonCode.NOT_COMBINABLE, "g", "y", "/group")


def test_floor_of_one_holds_for_all_used_with_it() -> None:
    lines = basket(line("a", 1000))
    floored = coupon("floored", amount(50), price_floor_minor=700)
    assert given(combine(lines, coupon("x", amount(250)), floored)) == {"floored": 50, "x": 250}
    combination = combine(lines, coupon("x", amount(400)), floored)
    assert given(combination) == {"x": 400}
    assert reason_of(combination.refused["floored"]) == (ReasonCode.LOWER_DISCOUNT, 400, 300, None)


def test_floor_that_leaves_nothing_is_the_reason() -> None:
    lines = basket(line("a", 1000, 2))
    combination = combine(lines, coupon("x", TEN_PERCENT, price_floor_minor=500))
    assert reason_of(combination.refused["x"]) == (ReasonCode.PRICE_FLOOR, 1000, 1000, "/price_floor_minor")
    combination = combine(
        lines, coupon("x", amount(200), price_floor_minor=400), coupon("y", FIVE_EUROS, price_floor_minor=300)
    )
    assert given(combination) == {"y": 400}
    together = combine(lines, coupon("a", amount(200), price_floor_minor=400), coupon("b", amount(100)))
    assert given(together) == {"a": 200}
    assert reason_of(together.refused["b"]) == (ReasonCode.PRICE_FLOOR, 800, 800, None)


def test_highest_floor_holds_whichever_coupon_comes_first() -> None:
    high, low = coupon("a", FIVE_EUROS, price_floor_minor=600), coupon("b", amount(100), price_floor_minor=300)
    combination = combine(basket(line("x", 1000)), high, low)
    assert given(combination) == {"a": 400}
    assert reason_of(combination.refused["b"]) == (ReasonCode.PRICE_FLOOR, 600, 600, "/price_floor_minor")


def test_price_below_the_floor_is_left_as_it_is() -> None:
    combination = combine(basket(line("a", 300), line("b", 900)), coupon("x", FIVE_EUROS, price_floor_minor=800))
    assert given(combination) == {"x": 100}


@pytest.mark.parametrize(
    ("discount", "lines", "required", "actual"),
    [
        (TEN_PERCENT, basket(line("a", 4)), 5, 4),
        (FIVE_EUROS, basket(line("a", 0)), 1, 0),
        ({"type": "fixed_price", "price_minor": 500}, basket(line("a", 500), line("b", 900, 2)), 500, 500),
        ({"type": "n_for_m", "take": 3, "pay": 2}, basket(line("a", 500, 2.9)), 3, 2),
        ({"type": "n_for_m", "take": 3, "pay": 2}, basket(line("a", 0, 3)), 1, 0),
        ({"type": "points", "points_per_major": 1}, basket(line("a", 99)), 100, 99),
    ],
)
def test_coupon_without_effect_says_what_is_missing(
    discount: dict[str, object], lines: object, required: int, actual: int
) -> None:
    combination = combine(lines, coupon("x", discount))  # type: ignore[arg-type]  # a basket, given as a parameter
    assert combination.applied == ()
    assert reason_of(combination.refused["x"]) == (ReasonCode.NO_EFFECT, required, actual, "/discount")


def test_coupon_for_which_others_left_nothing_has_no_effect() -> None:
    combination = combine(TEN_EUROS, coupon("x", {"type": "percent", "percent": 100}), coupon("y", FIVE_EUROS))
    assert given(combination) == {"x": 1000}
    assert reason_of(combination.refused["y"]) == (ReasonCode.NO_EFFECT, 1, 0, "/discount")


def test_rules_of_the_offer_come_first() -> None:
    picky = coupon("x", TEN_PERCENT, minimum_basket_minor=1001)
    combination = combine(TEN_EUROS, picky, coupon("y", TEN_PERCENT))
    assert given(combination) == {"y": 100}
    assert reason_of(combination.refused["x"]) == (
        ReasonCode.MINIMUM_BASKET_NOT_MET,
        1001,
        1000,
        "/minimum_basket_minor",
    )


def test_equal_discounts_are_decided_by_points_then_fewer_coupons_then_ids() -> None:
    points = {"type": "points", "points": 10}
    free = {"type": "percent", "percent": 100}
    assert given(combine(TEN_EUROS, coupon("x", amount(1000)), coupon("p", points))) == {"x": 1000, "p": 0}
    assert given(combine(TEN_EUROS, coupon("b", FIVE_EUROS), coupon("c", FIVE_EUROS), coupon("x", free))) == {"x": 1000}
    twins = [coupon(name, FIVE_EUROS, combinable=False) for name in ("b", "a", "c")]
    assert given(combine(TEN_EUROS, *twins)) == {"a": 500}


def test_ids_decide_between_equals_that_the_search_meets_last() -> None:
    late, early = coupon("a", FIVE_EUROS, group="g"), coupon("b", FIVE_EUROS, group="g")
    third = replace(coupon("c", FIVE_EUROS), offer_id="o3")
    combination = combine(TEN_EUROS, replace(late, offer_id="o2"), replace(early, offer_id="o1"), third)
    assert given(combination) == {"a": 500, "c": 500}


def test_points_alone_are_an_effect() -> None:
    combination = combine(TEN_EUROS, coupon("p", {"type": "points", "points": 10}, combinable=False))
    assert [one.points for one in combination.applied] == [10]


def test_limit_that_is_reached_gives_its_own_reason() -> None:
    combination = combine(TEN_EUROS, coupon("x", FIVE_EUROS, uses=("limit",)), capacities={"limit": Capacity(0, LIMIT)})
    assert (combination.applied, combination.refused) == ((), {"x": LIMIT})


def test_limit_is_shared_by_those_that_use_it() -> None:
    left_one = {"limit": Capacity(1, replace(LIMIT, required=None, actual=None))}
    combination = combine(
        TEN_EUROS,
        coupon("x", TEN_PERCENT, uses=("limit",)),
        coupon("y", FIVE_EUROS, uses=("limit",)),
        capacities=left_one,
    )
    assert given(combination) == {"y": 500}
    assert reason_of(combination.refused["x"]) == (ReasonCode.CUSTOMER_LIMIT_REACHED, 1, 0, None)


def test_budget_pays_for_all_coupons_of_its_campaign_together() -> None:
    coupons = (coupon("x", TEN_PERCENT), coupon("y", FIVE_EUROS))
    assert given(combine(TEN_EUROS, *coupons, capacities={"budget:k": Capacity(600, BUDGET)})) == {"x": 100, "y": 500}
    combination = combine(TEN_EUROS, *coupons, capacities={"budget:k": Capacity(599, BUDGET)})
    assert given(combination) == {"y": 500}
    assert reason_of(combination.refused["x"]) == (ReasonCode.BUDGET_EXHAUSTED, 100, 99, None)
    combination = combine(TEN_EUROS, *coupons, capacities={"budget:k": Capacity(499, BUDGET)})
    assert given(combination) == {"x": 100}
    assert reason_of(combination.refused["y"]) == (ReasonCode.BUDGET_EXHAUSTED, 500, 499, None)
    elsewhere = replace(coupons[0], campaign_id="other")
    assert given(combine(TEN_EUROS, elsewhere, coupons[1], capacities={"budget:k": Capacity(500, BUDGET)})) == {
        "x": 100,
        "y": 500,
    }


def test_coupon_that_a_budget_pays_only_with_others_is_used_with_them() -> None:
    half = replace(coupon("half", {"type": "percent", "percent": 50}), campaign_id="other")
    combination = combine(
        TEN_EUROS,
        half,
        coupon("x", {"type": "fixed_price", "price_minor": 300}),
        capacities={"budget:other": Capacity(300, BUDGET)},
    )
    assert given(combination) == {"x": 400, "half": 300}


def test_points_that_cost_nothing_need_no_budget() -> None:
    combination = combine(
        TEN_EUROS, coupon("p", {"type": "points", "points": 10}), capacities={"budget:k": Capacity(-5, BUDGET)}
    )
    assert [one.coupon_id for one in combination.applied] == ["p"]
    costly = coupon("q", {"type": "points", "points": 10, "point_cost_minor": 2})
    combination = combine(TEN_EUROS, costly, capacities={"budget:k": Capacity(19, BUDGET)})
    assert reason_of(combination.refused["q"]) == (ReasonCode.BUDGET_EXHAUSTED, 20, 19, None)


def test_beyond_the_bound_the_strongest_take_part() -> None:
    coupons = [coupon(f"c{number:02}", amount(10 + number)) for number in range(MAX_COMBINED + 3)]
    combination = combine(basket(line("a", 10_000)), *coupons)
    assert set(given(combination)) == {f"c{number:02}" for number in range(3, MAX_COMBINED + 3)}
    assert {one.code for one in combination.refused.values()} == {ReasonCode.LOWER_DISCOUNT}
    assert set(combination.refused) == {"c00", "c01", "c02"}


def test_coupons_that_are_used_alone_need_no_place_among_the_strongest() -> None:
    alone = [coupon(f"a{number:02}", amount(50), combinable=False) for number in range(30)]
    combination = combine(TEN_EUROS, *alone, coupon("x", amount(30)), coupon("y", amount(30)))
    assert given(combination) == {"x": 30, "y": 30}


def test_nothing_to_choose_from_is_an_empty_combination() -> None:
    combination = combine(TEN_EUROS)
    assert (combination.applied, combination.refused) == ((), {})


def test_same_offer_may_be_used_with_two_coupons() -> None:
    one = coupon("x", TEN_PERCENT)
    combination = combine(TEN_EUROS, one, replace(one, coupon_id="y"))
    assert list(given(combination).items()) == [("x", 100), ("y", 90)]


def test_shares_carry_the_quantity_of_their_line() -> None:
    (applied,) = combine(basket(line("a", 500, 2.5)), coupon("x", TEN_PERCENT), who=ANYBODY).applied
    assert [(share.line_id, share.discount_minor, share.quantity) for share in applied.lines] == [("a", 50, 2.5)]
    assert (applied.offer_id, applied.campaign_id, applied.cost_minor) == ("o-x", "k", 50)
    assert terms(TEN_PERCENT).combinable is False
