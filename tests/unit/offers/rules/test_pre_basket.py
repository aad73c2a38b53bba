"""Conditions before there is a basket: three values, and a coupon is hidden only where no basket could help."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import Channel
from app.offers.rules.condition_check import unmet
from app.offers.rules.pre_basket import pre_basket_reason, pre_basket_terms
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.documents import parse_document
from app.offers.terms.terms import OfferTerms
from tests.support.offers import NOON

APP = {"type": "channel", "any_of": ["app"]}
STORE = {"type": "store", "any_of": ["s1"]}
GOLD = {"type": "tier", "any_of": ["gold"]}
MUCH = {"type": "basket_total", "at_least_minor": 5000}
TEA = {"type": "contains", "products": [{"product_ids": ["tea"]}]}
LEAVES = st.sampled_from([APP, STORE, GOLD, MUCH, TEA])
TREES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.builds(lambda of: {"type": "not", "of": of}, below),
        st.builds(
            lambda kind, of: {"type": kind, "of": of},
            st.sampled_from(["all", "any"]),
            st.lists(below, min_size=1, max_size=3),
        ),
    ),
    max_leaves=6,
)


def terms(**conditions: object) -> OfferTerms:
    return parse_document(OfferTerms, {"name": "o", "discount": {"type": "percent", "percent": 10}} | conditions)


def reason(condition: dict[str, Any], **situation: Any) -> str | None:
    pre_basket = pre_basket_terms(terms(condition=condition))
    assert pre_basket is not None
    return pre_basket_reason(pre_basket, Situation(NOON, "u", **situation))


def test_offer_of_products_alone_demands_nothing_before_the_basket() -> None:
    assert pre_basket_terms(terms(minimum_basket_minor=500)) is None


@pytest.mark.parametrize(
    ("condition", "situation", "expected"),
    [
        (APP, {"channel": "web"}, "channel_not_allowed"),
        (APP, {"channel": "app"}, None),
        (APP, {}, None),
        (STORE, {"store_id": "s2"}, "store_not_allowed"),
        (STORE, {}, None),
        (GOLD, {}, "tier_not_allowed"),
        ({"type": "not", "of": APP}, {"channel": "app"}, "condition_not_met"),
        ({"type": "not", "of": APP}, {}, None),
        ({"type": "not", "of": MUCH}, {}, None),
        ({"type": "all", "of": [MUCH, GOLD]}, {}, "tier_not_allowed"),
        ({"type": "any", "of": [MUCH, GOLD]}, {}, None),
        ({"type": "any", "of": [APP, GOLD]}, {"channel": "web"}, "channel_not_allowed"),
        ({"type": "not", "of": {"type": "any", "of": [MUCH, APP]}}, {"channel": "app"}, "condition_not_met"),
        ({"type": "not", "of": {"type": "all", "of": [MUCH, APP]}}, {"channel": "app"}, None),
        ({"type": "not", "of": {"type": "all", "of": [MUCH, APP]}}, {"channel": "web"}, None),
        ({"type": "known_customer"}, {}, None),
    ],
)
def test_table_of_three_values(condition: dict[str, Any], situation: dict[str, Any], expected: str | None) -> None:
    assert reason(condition, **situation) == expected


def test_time_is_always_known() -> None:
    night = {"type": "time", "start": "22:00", "end": "23:00", "time_zone": "UTC"}
    assert reason(night) == "condition_not_met"


@settings(max_examples=300, deadline=None)
@given(tree=TREES, channel=st.sampled_from([None, "app", "web"]), store_id=st.sampled_from([None, "s1", "s2"]))
def test_what_is_hidden_no_basket_could_meet(tree: dict[str, Any], channel: str | None, store_id: str | None) -> None:
    pre_basket = pre_basket_terms(terms(condition=tree))
    assert pre_basket is not None
    assert pre_basket.condition is not None
    if pre_basket_reason(pre_basket, Situation(NOON, "u", "silver", channel, store_id)) is None:
        return
    channels = [channel] if channel else list(Channel)
    stores = [store_id] if store_id else ["s1", "s2"]
    for one, store, amount, what in product(channels, stores, (100, 9000), ("tea", "coffee")):
        basket = Basket((BasketLine("1", what, 1.0, amount, {}),), "EUR")
        assert unmet(pre_basket.condition, basket, Situation(NOON, "u", "silver", one, store)) is not None
