"""What a coupon's score is made of, and how coupons and products share the places of a slate."""

from dataclasses import replace
from itertools import pairwise
from math import exp, log
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.decision.coupons.candidates import PRIOR_CHANCE
from app.decision.fallbacks import popular_slate, static_slate
from app.decision.pipeline import Options
from app.decision.slate.mixed import APPLIES_TO_COUNT
from app.domain import Degraded, Objective, Pin, Proposition, Query, SlatePolicy, Wallet
from app.model.bundle import Bundle, NewProducts
from app.model.coupons import CouponModel
from app.offers.display.offer_index import LEAST_WEIGHT, OfferIndex
from app.slates import Slate
from tests.support.offer_indexes import (
    HALF,
    NOW,
    ONE,
    both,
    campaign,
    coupon,
    decided,
    offer,
    offer_index_of,
    shown,
    small_bundle,
    wallet,
)

NAMES = [f"o{number}" for number in range(6)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle"))


def six(bundle: Bundle, **terms: Any) -> OfferIndex:
    """An offer on each of p2 … p7."""
    offer_index = offer_index_of(
        bundle, *(offer(name, f"p{position + 2}", **terms) for position, name in enumerate(NAMES))
    )
    assert offer_index is not None
    return offer_index


def with_chance(bundle: Bundle, chance: float) -> Bundle:
    """A bundle that gives every coupon the same chance of being redeemed."""
    none = np.zeros(1, np.float32)
    return replace(bundle, coupons=CouponModel(("breadth",), none, none, none, log(chance / (1 - chance))))


def only(slate: Slate) -> Proposition:
    (one,) = slate.propositions
    return one


def kinds(slate: Slate) -> str:
    return "".join(one.kind[0] for one in slate.propositions)


def factors(one: Proposition) -> dict[str, float]:
    assert one.factors is not None
    return dict(one.factors)


@pytest.mark.parametrize(
    ("discount", "funder", "weight"),
    [
        (HALF, "retailer", 1 + (200 - 200) / 400),
        (ONE, "retailer", 1 + (200 - 100) / 400),
        (HALF, "a brewery", 1 + 200 / 400),
    ],
)
def test_score_is_that_of_the_formula(bundle: Bundle, discount: dict[str, Any], funder: str, weight: float) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p3", discount=discount), campaigns=[campaign(funder=funder)])
    one = only(decided(with_chance(bundle, 0.2), offer_index, wallet("o")))
    calibration = bundle.scoring["calibration"]
    assert one.probability == pytest.approx(0.2)
    expected = (log(0.2 / 0.8 * weight) - calibration["intercept"]) / calibration["slope"]
    assert one.score == pytest.approx(expected)
    values = factors(one)
    assert values["odds_weight"] == pytest.approx(weight)
    # The factors are enough to work the score out again.
    again = 1 + (values["margin_minor"] - values["cost_minor"]) / values["price_minor"]
    assert again == pytest.approx(values["odds_weight"])
    odds = exp(calibration["slope"] * one.score + calibration["intercept"])
    assert odds == pytest.approx(values["p_redeem"] / (1 - values["p_redeem"]) * again)
    assert one.expected_minor == round(0.2 * (400 - values["cost_minor"]))


def test_unknown_price_weighs_nothing_and_tells_a_plain_amount_alone(bundle: Bundle) -> None:
    unknown = replace(bundle, catalogue=replace(bundle.catalogue, price_minor=np.full(bundle.item_count, -1)))
    offer_index = offer_index_of(unknown, offer("amount", "p3", discount=ONE), offer("half", "p3"))
    found = {one.name: one for one in decided(unknown, offer_index, wallet("amount", "half")).propositions}
    savings = {name: one.coupon.saving_minor for name, one in found.items() if one.coupon is not None}
    assert savings == {"offer amount": 100, "offer half": None}
    assert [factors(one)["odds_weight"] for one in found.values()] == pytest.approx([1.0, 1.0])
    assert {(one.price_minor, one.expected_minor) for one in found.values()} == {(None, None)}


def test_weight_ends_where_a_discount_eats_everything(bundle: Bundle) -> None:
    free = replace(bundle, catalogue=replace(bundle.catalogue, unit_cost_minor=np.full(bundle.item_count, -1)))
    offer_index = offer_index_of(free, offer("o", "p3", discount={"type": "percent", "percent": 100}))
    assert factors(only(decided(free, offer_index, wallet("o"))))["odds_weight"] == pytest.approx(LEAST_WEIGHT)


def test_without_a_model_all_coupons_have_one_chance(bundle: Bundle) -> None:
    found = decided(bundle, six(bundle), wallet(*NAMES))
    assert [one.probability for one in found.propositions] == pytest.approx([PRIOR_CHANCE] * len(NAMES))


def test_model_orders_coupons_by_what_the_customer_buys(bundle: Bundle) -> None:
    mean, scale, weights = (np.array([value], np.float32) for value in (0, 1, 2))
    taught = replace(bundle, coupons=CouponModel(("breadth",), mean, scale, weights, -3.0))
    offer_index = offer_index_of(taught, offer("narrow", "p3"), offer("wide", "p3", "p4", "p5"))
    assert shown(decided(taught, offer_index, wallet("narrow", "wide"))) == ["wide", "narrow"]


def test_unlikely_coupons_get_the_kept_places_and_no_more(bundle: Bundle) -> None:
    poor, offer_index = with_chance(bundle, 1e-5), six(bundle)
    for kept, wanted in ((0, "pppppp"), (1, "ppppcp"), (2, "ppcpcp")):
        assert kinds(decided(poor, offer_index, wallet(*NAMES), **both(size=6, coupon_places=kept))) == wanted


def test_likely_coupons_come_first_up_to_the_most(bundle: Bundle) -> None:
    rich, offer_index = with_chance(bundle, 0.999), six(bundle)
    for most, wanted in ((0, "pppppp"), (1, "cppppp"), (3, "cpcpcp")):
        assert kinds(decided(rich, offer_index, wallet(*NAMES), **both(size=6, max_coupons=most))) == wanted


def test_product_of_a_coupon_follows_it_even_where_it_had_no_place(bundle: Bundle) -> None:
    alone = decided(bundle, None, None, **both(size=5))
    ranked = decided(bundle, None, None, **both(size=12))
    left_out = next(one.product_id for one in ranked.propositions if one not in alone.propositions)
    offer_index = offer_index_of(bundle, offer("o", left_out))
    found = decided(with_chance(bundle, 1e-5), offer_index, wallet("o"), **both(size=5))
    assert kinds(found) == "pppcp"
    assert [one.product_id for one in found.propositions[3:]] == [left_out, left_out]
    assert [one.product_id for one in found.propositions[:3]] == [one.product_id for one in alone.propositions[:3]]


def test_one_place_goes_to_whoever_wins_it(bundle: Bundle) -> None:
    offer_index = six(bundle)
    for chance, wanted in ((1e-5, "p"), (0.999, "c")):
        assert kinds(decided(with_chance(bundle, chance), offer_index, wallet(*NAMES), **both(size=1))) == wanted


def test_coupons_fill_what_products_leave_empty_and_ranks_have_no_gap(bundle: Bundle) -> None:
    offer_index = six(bundle)
    question = both(size=12, filters={"category": ["c2"]}, max_coupons=9)
    found = decided(with_chance(bundle, 1e-5), offer_index, wallet(*NAMES), **question)
    assert kinds(found) == "pcpcp"
    assert [one.rank for one in found.propositions] == [1, 2, 3, 4, 5]


def test_coupons_alone_are_ordered_by_their_score_and_all_fit(bundle: Bundle) -> None:
    found = decided(bundle, six(bundle), wallet(*NAMES), size=4, max_coupons=1)
    assert kinds(found) == "cccc"
    assert all(one.score >= other.score for one, other in pairwise(found.propositions))


def test_without_coupons_the_products_are_what_they_would_be(bundle: Bundle) -> None:
    alone = decided(bundle, six(bundle), None, kinds=frozenset({"product"}))
    assert decided(bundle, six(bundle), wallet(), **both()).propositions == alone.propositions
    assert decided(bundle, None, wallet("o0"), **both()).propositions == alone.propositions


@pytest.mark.parametrize("chance", [1e-5, 0.3, 0.999])
def test_pins_never_move(bundle: Bundle, chance: float) -> None:
    policy = SlatePolicy(pins=(Pin(1, "p11"), Pin(4, "p10"), Pin(6, "p9")))
    question = both(size=6, policy=policy, coupon_places=2)
    found = decided(with_chance(bundle, chance), six(bundle), wallet(*NAMES), **question)
    at = {one.rank: (one.kind, one.product_id) for one in found.propositions}
    assert [at[rank] for rank in (1, 4, 6)] == [("product", "p11"), ("product", "p10"), ("product", "p9")]
    assert kinds(found).count("c") >= 2
    assert len(found.propositions) == 6


def test_new_product_keeps_the_last_place(bundle: Bundle) -> None:
    new = replace(bundle, new_products=NewProducts(bundle.catalogue.known(["p11"]), None))
    alone = decided(new, None, None, **both(size=5))
    last = alone.propositions[-1]
    ours = replace(bundle, new_products=NewProducts(bundle.catalogue.known([last.product_id]), None))
    found = decided(with_chance(ours, 0.999), six(ours), wallet(*NAMES), **both(size=5))
    assert kinds(found) == "ccpcp"
    assert found.propositions[-1].product_id == last.product_id


@pytest.mark.parametrize(
    ("objective", "worth"), [(Objective.REVENUE, lambda price, cost: price - cost), (Objective.MARGIN, None)]
)
def test_objective_orders_coupons_by_what_a_redemption_brings(bundle: Bundle, objective: Objective, worth: Any) -> None:
    policy = SlatePolicy(objective=objective)
    found = decided(bundle, six(bundle, discount=ONE), wallet(*NAMES), policy=policy)
    worth = worth or (lambda price, cost: price / 2 - cost)
    keys = [PRIOR_CHANCE * worth(factors(one)["price_minor"], factors(one)["cost_minor"]) for one in found.propositions]
    assert keys == sorted(keys, reverse=True)
    assert [one.expected_minor for one in found.propositions] == [round(key) for key in keys]
    assert shown(found) == NAMES[::-1]


def test_objective_that_nobody_can_follow_leaves_both_kinds_by_score(bundle: Bundle) -> None:
    unknown = replace(bundle, catalogue=replace(bundle.catalogue, price_minor=np.full(bundle.item_count, -1)))
    policy = SlatePolicy(objective=Objective.REVENUE)
    offer_index = six(unknown, discount=ONE)
    for chance, wanted in ((1e-5, "pppcp"), (0.999, "cpccp")):
        found = decided(with_chance(unknown, chance), offer_index, wallet(*NAMES), **both(size=5, policy=policy))
        assert kinds(found) == wanted


def test_applies_to_names_what_the_offer_holds_the_target_first(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("all"))
    one = only(decided(bundle, offer_index, wallet("all")))
    assert one.coupon is not None
    assert one.coupon.applies_to[0] == one.product_id
    assert len(set(one.coupon.applies_to)) == len(one.coupon.applies_to) == APPLIES_TO_COUNT


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chance=st.floats(1e-6, 1 - 1e-6),
    size=st.integers(1, 15),
    kept=st.integers(0, 16),
    most=st.integers(0, 16),
    count=st.integers(0, 6),
    pins=st.dictionaries(st.integers(1, 15), st.sampled_from([f"p{n}" for n in range(12)]), max_size=4),
)
def test_every_slate_keeps_its_promises(
    bundle: Bundle, chance: float, size: int, kept: int, most: int, count: int, pins: dict[int, str]
) -> None:
    policy = SlatePolicy(pins=tuple(Pin(rank, name) for rank, name in pins.items())) if pins else None
    if len(set(pins.values())) < len(pins):
        return
    likely, offer_index = with_chance(bundle, chance), six(bundle)
    held = Wallet([coupon(name) for name in NAMES[:count]])
    question = {"size": size, "policy": policy, "coupon_places": kept, "max_coupons": most}
    found = decided(likely, offer_index, held, **both(**question))
    alone = decided(likely, None, None, **both(**question))
    assert [one.rank for one in found.propositions] == list(range(1, len(found.propositions) + 1))
    coupons = [one for one in found.propositions if one.kind == "coupon"]
    products = [one for one in found.propositions if one.kind == "product"]
    assert len(coupons) <= min(most, count, size)
    assert len(found.propositions) >= len(alone.propositions)
    free = size - sum(rank <= size for rank in pins)
    assert len(coupons) >= min(kept, most, count, size - 1, free)
    assert all(one.score >= other.score for one, other in pairwise(coupons))
    assert len({one.product_id for one in products}) == len(products)
    order = [one.product_id for one in alone.propositions]
    others = [one for one in products if one.product_id not in pins.values()]
    # The product of a coupon follows it, next to pins; the others keep their order.
    free_places = [one for one in found.propositions if one.product_id not in pins.values() or one.kind == "coupon"]
    joined = {
        after.product_id
        for before, after in pairwise(free_places)
        if before.kind == "coupon" and after.kind == "product" and before.product_id == after.product_id
    }
    assert {one.product_id for one in coupons} & {one.product_id for one in others} == joined
    unmoved = [one.product_id for one in others if one.product_id not in joined]
    assert unmoved == [product_id for product_id in order if product_id in unmoved]
    if len(order) == size:
        assert all(found.propositions[rank - 1].product_id == name for rank, name in pins.items() if rank <= size)


def test_lower_fallback_levels_answer_a_question_for_coupons_alone_with_nothing(bundle: Bundle) -> None:
    query = Query("app_home", 5, NOW, customer_id="u0", kinds=frozenset({"coupon"}))
    options = Options(stale_after_s=1e9)
    for slate in (
        popular_slate(query, bundle, options, why=Degraded.OVERLOAD),
        static_slate(query, {"app_home": ["p1", "p2"]}, options),
    ):
        assert not slate.propositions
        assert Degraded.SLATE_SHORT not in slate.degraded
