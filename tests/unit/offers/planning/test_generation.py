"""Offers made from a template keep within their guardrails, at the till too, and pass every check of an offer."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidTerms
from app.offers.planning.generation import (
    GenerationResult,
    Guardrails,
    LeftOutReason,
    PricedProduct,
    ValueTier,
    generated_offers,
)
from app.offers.rules.combination import UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.documents import parse_document
from app.offers.terms.terms import Amount, OfferTerms, Percent

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEN, TWENTY = (ValueTier(discount=Percent(type="percent", percent=percent)) for percent in (10, 20))
TEA = PricedProduct("tea", "Green tea", 499, 300)


def made(
    *products: PricedProduct, tiers: tuple[ValueTier, ...] = (TEN,), template: dict[str, object] | None = None,
    **guardrails: float,
) -> GenerationResult:  # fmt: skip
    return generated_offers(template or {}, products, tiers, Guardrails(**guardrails), currency="EUR", now=NOW)


def reasons(found: GenerationResult) -> list[tuple[str, int, LeftOutReason]]:
    return [(one.product_id, one.tier, one.reason) for one in found.left_out]


def test_each_product_gets_an_offer_in_each_tier() -> None:
    gold = ValueTier(discount=Amount(type="amount", amount_minor=150), tiers=("gold",))
    found = made(TEA, PricedProduct("cup", "Cup", 900, None), tiers=(TEN, gold))
    assert [(one.product_id, one.tier, one.discount_minor) for one in found.offers] == [
        ("tea", 0, 50),
        ("tea", 1, 150),
        ("cup", 0, 90),
        ("cup", 1, 150),
    ]
    assert [one.terms.tiers for one in found.offers] == [(), ("gold",), (), ("gold",)]
    assert [one.terms.name for one in found.offers[:2]] == ["10 % off Green tea", "1.50 EUR off Green tea"]


def test_the_template_says_all_else() -> None:
    template = {"name": "{product}: {value} today", "channels": ["app"], "combinable": True, "valid_days": 3}
    [one] = made(TEA, template=template).offers
    assert (one.terms.name, one.terms.channels, one.terms.combinable) == ("Green tea: 10 % today", ("app",), True)
    assert one.terms.valid_days == 3


def test_long_names_are_cut() -> None:
    [one] = made(PricedProduct("p", "x" * 500, 499, None)).offers
    assert len(one.terms.name) == 200


def test_a_name_is_text_and_no_program() -> None:
    [one] = made(TEA, template={"name": "{product.__class__} {0}"}).offers
    assert one.terms.name == "{product.__class__} {0}"


def test_more_than_the_most_percent_is_left_out() -> None:
    found = made(TEA, tiers=(TEN, TWENTY), max_percent=15)
    assert [one.tier for one in found.offers] == [0]
    assert reasons(found) == [("tea", 1, LeftOutReason.ABOVE_MAX_PERCENT)]


def test_an_amount_counts_by_its_part_of_the_price() -> None:
    euro = ValueTier(discount=Amount(type="amount", amount_minor=100))
    found = made(PricedProduct("dear", "", 1000, 1), PricedProduct("cheap", "", 150, 1), tiers=(euro,), max_percent=10)
    assert [one.product_id for one in found.offers] == ["dear"]


def test_the_margin_is_kept_and_becomes_the_floor() -> None:
    found = made(TEA, tiers=(TEN, TWENTY), min_margin_percent=30)
    # 300 / 0.7 = 428.6: at 499 − 50 = 449 the margin is kept, at 499 − 100 = 399 it is not.
    [one] = found.offers
    assert one.terms.price_floor_minor == 429
    assert reasons(found) == [("tea", 1, LeftOutReason.BELOW_FLOOR)]


def test_the_higher_of_two_floors_counts() -> None:
    [one] = made(TEA, min_margin_percent=0, price_floor_minor=440).offers
    assert one.terms.price_floor_minor == 440


def test_products_without_price_or_cost_are_left_out() -> None:
    unknown = PricedProduct("x", "", None, None)
    assert reasons(made(unknown)) == [("x", 0, LeftOutReason.PRICE_UNKNOWN)]
    no_cost = PricedProduct("y", "", 499, None)
    assert reasons(made(no_cost, min_margin_percent=5)) == [("y", 0, LeftOutReason.COST_UNKNOWN)]
    assert made(no_cost).offers


def test_what_takes_nothing_off_is_left_out() -> None:
    assert reasons(made(PricedProduct("cheap", "", 4, 1))) == [("cheap", 0, LeftOutReason.NO_EFFECT)]
    assert reasons(made(PricedProduct("free", "", 0, 0))) == [("free", 0, LeftOutReason.NO_EFFECT)]


@pytest.mark.parametrize(
    ("template", "pointer"),
    [
        ({"discount": {"type": "percent", "percent": 99}}, "/template/discount"),
        ({"price_floor_minor": 0}, "/template/price_floor_minor"),
        ({"channels": ["fax"]}, "/template/channels/0"),
        ({"name": 5}, "/template/name"),
        ({"colour": "red"}, "/template/colour"),
    ],
)
def test_a_template_that_is_none_is_pointed_at(template: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidTerms) as error:
        made(TEA, template=template)
    assert error.value.pointer == pointer


def _tiers() -> st.SearchStrategy[list[ValueTier]]:
    percents = st.integers(1, 10_000).map(lambda points: Percent(type="percent", percent=points / 100))
    amounts = st.integers(1, 2_000).map(lambda minor: Amount(type="amount", amount_minor=minor))
    return st.lists(st.one_of(percents, amounts).map(lambda one: ValueTier(discount=one)), min_size=1, max_size=4)


@given(
    prices=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)), min_size=1, max_size=5),
    tiers=_tiers(),
    rails=st.builds(
        Guardrails,
        max_percent=st.integers(1, 100).map(float),
        min_margin_percent=st.none() | st.integers(0, 99).map(float),
        price_floor_minor=st.none() | st.integers(0, 3_000),
    ),
)
def test_every_offer_is_sound_and_within_its_guardrails(
    prices: list[tuple[int, int]], tiers: list[ValueTier], rails: Guardrails
) -> None:
    products = [PricedProduct(str(number), "p", price, cost) for number, (price, cost) in enumerate(prices)]
    found = generated_offers({"combinable": True}, products, tiers, rails, currency="EUR", now=NOW)
    assert len(found.offers) + len(found.left_out) == len(products) * len(tiers)
    for one in found.offers:
        assert parse_document(OfferTerms, one.terms.model_dump(mode="json")) == one.terms
        price, cost = prices[int(one.product_id)]
        paid = price - at_the_till([one.terms], one.product_id, price)
        assert paid == one.price_minor - one.discount_minor < price
        assert Fraction(price - paid, price) <= Fraction(rails.max_percent) / 100
        assert_kept(paid, cost, rails)
    for number, (price, cost) in enumerate(prices):
        together = [one.terms for one in found.offers if one.product_id == str(number)]
        if together:
            assert_kept(price - at_the_till(together, str(number), price), cost, rails)


def assert_kept(paid: int, cost: int, rails: Guardrails) -> None:
    """Floor and margin are kept at this price."""
    assert paid >= (rails.price_floor_minor or 0)
    if rails.min_margin_percent is not None:
        assert paid - cost >= Fraction(rails.min_margin_percent) / 100 * paid


def at_the_till(offers: list[OfferTerms], product_id: str, price: int) -> int:
    """What these offers take off one piece together."""
    candidates = [UsableCoupon(str(number), str(number), "c", terms) for number, terms in enumerate(offers)]
    basket = Basket((BasketLine("1", product_id, 1.0, price),), "EUR")
    applied = best_combination(candidates, basket, Situation(NOW), {}).applied
    return sum(one.discount_minor for one in applied)
