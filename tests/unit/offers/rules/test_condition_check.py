"""Whether an offer may be used: every condition at its edge, and the reason when it is not met."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.offers.rules.applicability import eligible_lines, refusal_of
from app.offers.rules.condition_check import unmet
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.conditions import Condition
from app.offers.terms.reasons import ReasonCode, Refusal
from tests.support.offers import ANYBODY, FIVE_EUROS, NOON, basket, line, terms

DAIRY = [{"attribute": "department", "values": ["DAIRY"]}]
WINE = [{"attribute": "department", "values": ["WINE"]}]
MILK = line("milk", 2000, 2, department="DAIRY")
RED = line("red", 3000, 1, department="WINE")
BASKET = basket(MILK, RED)
MEMBER = Situation(NOON, customer_id="900", tier="gold", channel="web", store_id="330")


def condition(tree: Mapping[str, object]) -> Condition:
    """The checked tree."""
    checked = terms(FIVE_EUROS, condition=tree).condition
    assert checked is not None
    return checked


def refusal(tree: Mapping[str, object], lines: Basket = BASKET, who: Situation = MEMBER) -> Refusal | None:
    """Why the condition is not met."""
    return unmet(condition(tree), lines, who)


@pytest.mark.parametrize(
    ("tree", "code", "required", "actual"),
    [
        ({"type": "basket_total", "above_minor": 5000}, ReasonCode.MINIMUM_BASKET_NOT_MET, 5001, 5000),
        ({"type": "basket_total", "above_minor": 4999}, None, None, None),
        ({"type": "basket_total", "at_least_minor": 5001}, ReasonCode.MINIMUM_BASKET_NOT_MET, 5001, 5000),
        ({"type": "basket_total", "at_least_minor": 5000, "at_most_minor": 5000}, None, None, None),
        ({"type": "basket_total", "at_most_minor": 4999}, ReasonCode.CONDITION_NOT_MET, 4999, 5000),
        ({"type": "contains", "products": DAIRY, "at_least_quantity": 2}, None, None, None),
        (
            {"type": "contains", "products": DAIRY, "at_least_quantity": 2.5},
            ReasonCode.PRODUCTS_NOT_IN_BASKET,
            2.5,
            2.0,
        ),
        (
            {"type": "contains", "products": DAIRY, "at_least_minor": 2001},
            ReasonCode.PRODUCTS_NOT_IN_BASKET,
            2001,
            2000,
        ),
        ({"type": "contains", "products": [{"product_ids": ["p-red", "x"]}], "at_least_minor": 3000}, None, None, None),
        ({"type": "contains", "products": [{"product_ids": ["x"]}]}, ReasonCode.PRODUCTS_NOT_IN_BASKET, 1.0, 0.0),
        ({"type": "channel", "any_of": ["app", "web"]}, None, None, None),
        ({"type": "channel", "any_of": ["app", "store"]}, ReasonCode.CHANNEL_NOT_ALLOWED, "app,store", "web"),
        ({"type": "store", "any_of": ["330"]}, None, None, None),
        ({"type": "store", "any_of": ["331"]}, ReasonCode.STORE_NOT_ALLOWED, "331", "330"),
        ({"type": "tier", "any_of": ["gold"]}, None, None, None),
        ({"type": "tier", "any_of": ["Gold"]}, ReasonCode.TIER_NOT_ALLOWED, "Gold", "gold"),
        ({"type": "known_customer"}, None, None, None),
    ],
)
def test_leaf_is_exact_at_its_edge_and_its_refusal_has_the_figures(
    tree: Mapping[str, object], code: ReasonCode | None, required: object, actual: object
) -> None:
    found = refusal(tree)
    reason = None if found is None else (found.code, found.required, found.actual, found.pointer)
    assert reason == (None if code is None else (code, required, actual, "/condition"))


@pytest.mark.parametrize(
    ("tree", "code"),
    [
        ({"type": "channel", "any_of": ["web"]}, ReasonCode.CHANNEL_NOT_ALLOWED),
        ({"type": "store", "any_of": ["330"]}, ReasonCode.STORE_NOT_ALLOWED),
        ({"type": "tier", "any_of": ["gold"]}, ReasonCode.TIER_NOT_ALLOWED),
        ({"type": "known_customer"}, ReasonCode.CONDITION_NOT_MET),
    ],
)
def test_what_is_not_given_meets_no_condition_about_it(tree: Mapping[str, object], code: ReasonCode) -> None:
    found = refusal(tree, who=ANYBODY)
    assert found is not None
    assert (found.code, found.actual) == (code, None)


def test_weighed_quantities_add_up_as_written() -> None:
    weighed = basket(line("a", 700, 0.7, department="DAIRY"), line("b", 200, 0.2, department="DAIRY"))
    assert refusal({"type": "contains", "products": DAIRY, "at_least_quantity": 0.9}, weighed) is None


MET = {"type": "known_customer"}
UNMET = {"type": "tier", "any_of": ["platinum"]}
UNMET_TOO = {"type": "store", "any_of": ["1"]}


@pytest.mark.parametrize(
    ("tree", "pointer", "code"),
    [
        ({"type": "all", "of": [MET, MET]}, None, None),
        ({"type": "all", "of": [MET, UNMET, UNMET_TOO]}, "/condition/of/1", ReasonCode.TIER_NOT_ALLOWED),
        ({"type": "any", "of": [UNMET, MET]}, None, None),
        ({"type": "any", "of": [UNMET_TOO, UNMET]}, "/condition/of/0", ReasonCode.STORE_NOT_ALLOWED),
        ({"type": "not", "of": UNMET}, None, None),
        ({"type": "not", "of": MET}, "/condition", ReasonCode.CONDITION_NOT_MET),
        (
            {"type": "all", "of": [MET, {"type": "any", "of": [{"type": "not", "of": MET}, UNMET]}]},
            "/condition/of/1/of/0",
            ReasonCode.CONDITION_NOT_MET,
        ),
    ],
)
def test_tree_tells_its_first_unmet_leaf(
    tree: Mapping[str, object], pointer: str | None, code: ReasonCode | None
) -> None:
    found = refusal(tree)
    assert (None if found is None else found.pointer) == pointer
    assert (None if found is None else found.code) == code


@pytest.mark.parametrize(
    ("hours", "weekdays", "at", "is_met"),
    [
        (("10:00", "12:00"), [], datetime(2026, 11, 22, 9, 0, tzinfo=UTC), True),
        (("10:00", "12:00"), [], datetime(2026, 11, 22, 11, 0, tzinfo=UTC), False),
        (("10:00", "12:00"), [], datetime(2026, 11, 22, 10, 59, 59, tzinfo=UTC), True),
        (("10:00", None), ["sun"], datetime(2026, 11, 22, 22, 59, tzinfo=UTC), True),
        (("10:00", None), ["sun"], datetime(2026, 11, 22, 23, 0, tzinfo=UTC), False),
        ((None, None), ["sun"], datetime(2026, 11, 21, 23, 0, tzinfo=UTC), True),
        ((None, None), ["sun"], datetime(2026, 11, 21, 22, 59, tzinfo=UTC), False),
        # Friday's night lasts until Saturday at two, Thursday's is none.
        (("22:00", "02:00"), ["fri"], datetime(2026, 11, 20, 21, 0, tzinfo=UTC), True),
        (("22:00", "02:00"), ["fri"], datetime(2026, 11, 21, 0, 59, tzinfo=UTC), True),
        (("22:00", "02:00"), ["fri"], datetime(2026, 11, 21, 1, 0, tzinfo=UTC), False),
        (("22:00", "02:00"), ["fri"], datetime(2026, 11, 20, 0, 30, tzinfo=UTC), False),
        # The clock goes back: there are two half past twos, both before three.
        (("02:00", "03:00"), ["sun"], datetime(2026, 10, 25, 0, 30, tzinfo=UTC), True),
        (("02:00", "03:00"), ["sun"], datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True),
        (("02:00", "03:00"), ["sun"], datetime(2026, 10, 25, 2, 0, tzinfo=UTC), False),
        # The clock goes forward: two o'clock is never, three comes an hour after one.
        (("02:00", "03:00"), ["sun"], datetime(2027, 3, 28, 0, 59, 59, tzinfo=UTC), False),
        (("02:00", "03:00"), ["sun"], datetime(2027, 3, 28, 1, 0, tzinfo=UTC), False),
        (("03:00", "04:00"), ["sun"], datetime(2027, 3, 28, 1, 0, tzinfo=UTC), True),
    ],
)
def test_time_is_the_local_one(
    hours: tuple[str | None, str | None], weekdays: list[str], at: datetime, is_met: bool
) -> None:
    tree = {"type": "time", "time_zone": "Europe/Berlin", "weekdays": weekdays, "start": hours[0], "end": hours[1]}
    found = refusal(tree, who=replace(MEMBER, now_at=at))
    assert (found is None) == is_met
    assert is_met or (found is not None and found.code is ReasonCode.CONDITION_NOT_MET)


@pytest.mark.parametrize(
    ("part", "required"),
    [
        ({"weekdays": ["mon", "tue"], "start": "10:00"}, "mon,tue 10:00-24:00 Europe/Berlin"),
        ({"end": "12:30"}, "00:00-12:30 Europe/Berlin"),
        ({"weekdays": ["sat"]}, "sat Europe/Berlin"),
    ],
)
def test_wrong_time_is_described_in_local_words(part: Mapping[str, object], required: str) -> None:
    found = refusal({"type": "time", "time_zone": "Europe/Berlin", **part})
    assert found is not None
    assert (found.required, found.actual) == (required, "sun 13:00 Europe/Berlin")


def test_offer_applies_to_what_it_names_without_what_it_excludes() -> None:
    assert eligible_lines(terms(FIVE_EUROS), BASKET) == (MILK, RED)
    assert eligible_lines(terms(FIVE_EUROS, applies_to=DAIRY), BASKET) == (MILK,)
    assert eligible_lines(terms(FIVE_EUROS, excludes=DAIRY), BASKET) == (RED,)
    either = [{"product_ids": ["p-red"]}, *DAIRY]
    assert eligible_lines(terms(FIVE_EUROS, applies_to=either, excludes=WINE), BASKET) == (MILK,)
    assert eligible_lines(terms(FIVE_EUROS, applies_to=DAIRY, excludes=DAIRY), BASKET) == ()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({}, None),
        ({"channels": ["app"]}, (ReasonCode.CHANNEL_NOT_ALLOWED, "app", "web", "/channels")),
        ({"store_ids": ["1", "2"]}, (ReasonCode.STORE_NOT_ALLOWED, "1,2", "330", "/store_ids")),
        ({"tiers": ["silver"]}, (ReasonCode.TIER_NOT_ALLOWED, "silver", "gold", "/tiers")),
        (
            {"applies_to": [{"attribute": "department", "values": ["FISH", "MEAT"]}, {"product_ids": ["7"]}]},
            (ReasonCode.PRODUCTS_NOT_IN_BASKET, "department=FISH,department=MEAT,7", None, "/applies_to"),
        ),
        (
            {"excludes": [*DAIRY, *WINE]},
            (
                ReasonCode.PRODUCTS_NOT_IN_BASKET,
                "any product without department=DAIRY,department=WINE",
                None,
                "/excludes",
            ),
        ),
        ({"minimum_basket_minor": 5000}, None),
        (
            {"minimum_basket_minor": 5001},
            (ReasonCode.MINIMUM_BASKET_NOT_MET, 5001, 5000, "/minimum_basket_minor"),
        ),
        (
            {"condition": {"type": "not", "of": MET}},
            (ReasonCode.CONDITION_NOT_MET, "not known_customer", "known_customer", "/condition"),
        ),
    ],
)
def test_offer_is_refused_with_the_figures_behind_it(part: Mapping[str, object], expected: object) -> None:
    found = refusal_of(terms(FIVE_EUROS, **part), BASKET, MEMBER)
    assert (None if found is None else (found.code, found.required, found.actual, found.pointer)) == expected


def test_reasons_come_in_a_fixed_order() -> None:
    parts: list[tuple[ReasonCode, Mapping[str, object]]] = [
        (ReasonCode.CHANNEL_NOT_ALLOWED, {"channels": ["app"]}),
        (ReasonCode.STORE_NOT_ALLOWED, {"store_ids": ["1"]}),
        (ReasonCode.TIER_NOT_ALLOWED, {"tiers": ["silver"]}),
        (ReasonCode.PRODUCTS_NOT_IN_BASKET, {"applies_to": [{"product_ids": ["7"]}]}),
        (ReasonCode.MINIMUM_BASKET_NOT_MET, {"minimum_basket_minor": 9999}),
        (ReasonCode.CONDITION_NOT_MET, {"condition": {"type": "not", "of": MET}}),
    ]
    for first in range(len(parts)):
        everything_from_here = {name: value for _, part in parts[first:] for name, value in part.items()}
        found = refusal_of(terms(FIVE_EUROS, **everything_from_here), BASKET, MEMBER)
        assert found is not None
        assert found.code is parts[first][0]


def test_long_lists_of_products_are_shortened() -> None:
    many = [{"product_ids": [str(number) for number in range(10_000)]}]
    found = refusal_of(terms(FIVE_EUROS, applies_to=many), BASKET, MEMBER)
    assert found is not None
    assert found.required == "0,1,2,3,4,5,6,7,8,9,…"


def test_empty_basket_has_none_of_the_products() -> None:
    found = refusal_of(terms(FIVE_EUROS), basket(), MEMBER)
    assert found is not None
    assert (found.code, found.required) == (ReasonCode.PRODUCTS_NOT_IN_BASKET, "any product")
