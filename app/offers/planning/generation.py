"""Offers made from a template, one per product and value tier, each within guardrails and sound by the till's rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Annotated

from pydantic import AfterValidator, Field

from app.errors import InvalidTerms
from app.offers.rules.combination import UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.documents import parse_document
from app.offers.terms.money import MAX_MINOR, exact, format_amount, two_decimals
from app.offers.terms.terms import Amount, Document, Name, OfferTerms, Percent

PRODUCT, VALUE = "{product}", "{value}"
"""What a template's name may hold in place of the product's name and of what it gets off."""
NAME_LENGTH = 200
MADE_HERE = frozenset({"discount", "applies_to", "excludes", "tiers", "price_floor_minor", "gcn"})
"""What a template cannot say, because each offer gets its own."""


class ValueTier(Document):
    """One level of what is given, and the loyalty tiers that get it."""

    discount: Annotated[Percent | Amount, Field(discriminator="type")] = Field(description="What is taken off")
    tiers: tuple[Name, ...] = Field(default=(), description="Loyalty tiers that get it. Empty: everybody")


class Guardrails(Document):
    """What no offer may go beyond, on one piece at its price: at most so many percent off, at least so much margin.

    `min_margin_percent` of what is still paid is left above the unit cost; a product without a known cost then gets no
    offer. Margin and floor hold at the till as well, whatever else is combined with the offer.
    """

    max_percent: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False), AfterValidator(two_decimals)] = Field(
        default=50.0, description="At most so many percent off the price of a piece"
    )
    min_margin_percent: (
        Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False), AfterValidator(two_decimals)] | None
    ) = Field(
        default=None,
        description="At least so many percent of what is paid stay above the unit cost. Default: any margin",
    )
    price_floor_minor: Annotated[int, Field(ge=0, le=MAX_MINOR)] | None = Field(
        default=None, description="No piece gets cheaper than this, in minor units. Default: no floor"
    )


@dataclass(frozen=True, slots=True)
class PricedProduct:
    """A product with what a piece costs the customer and the retailer; None = unknown."""

    product_id: str
    name: str
    price_minor: int | None
    unit_cost_minor: int | None


class LeftOutReason(StrEnum):
    """Why a product gets no offer in a tier."""

    PRICE_UNKNOWN = "price_unknown"
    COST_UNKNOWN = "cost_unknown"
    ABOVE_MAX_PERCENT = "above_max_percent"
    BELOW_FLOOR = "below_floor"
    NO_EFFECT = "no_effect"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A product without an offer; `tier` counts the value tiers from 0."""

    product_id: str
    tier: int
    reason: LeftOutReason


@dataclass(frozen=True, slots=True)
class GeneratedOffer:
    """A sound offer for one product, and what it takes off one piece at its price."""

    product_id: str
    tier: int
    terms: OfferTerms
    price_minor: int
    discount_minor: int


@dataclass(frozen=True, slots=True)
class GenerationResult:
    """Every product and tier once: as an offer, or with the reason why there is none."""

    offers: tuple[GeneratedOffer, ...]
    left_out: tuple[LeftOut, ...]


def generated_offers(
    template: Mapping[str, object],
    products: Sequence[PricedProduct],
    value_tiers: Sequence[ValueTier],
    guardrails: Guardrails,
    *,
    currency: str,
    now: datetime,
) -> GenerationResult:
    """An offer per product and tier; `template` holds the other fields of OfferTerms as a document.

    Raises InvalidTerms, with a pointer into "/template", for what is no offer whatever the product.
    """
    made_here = sorted(MADE_HERE & template.keys())
    if made_here:
        pointer = f"/template/{made_here[0]}"
        raise InvalidTerms(f"{pointer}: each offer gets its own; leave it out", pointer=pointer)
    offers: list[GeneratedOffer] = []
    left_out: list[LeftOut] = []
    for product, number, tier in _pairs(products, value_tiers):
        floor_minor = _floor(product, guardrails)
        if isinstance(floor_minor, LeftOutReason):
            left_out.append(LeftOut(product.product_id, number, floor_minor))
            continue
        assert product.price_minor is not None
        terms = parse_document(OfferTerms, _document(template, product, tier, floor_minor, currency), "/template")
        discount_minor = _taken_off_a_piece(terms, product, currency, now)
        reason = _beyond(discount_minor, terms, product.price_minor, guardrails)
        if reason is not None:
            left_out.append(LeftOut(product.product_id, number, reason))
            continue
        offers.append(GeneratedOffer(product.product_id, number, terms, product.price_minor, discount_minor))
    return GenerationResult(tuple(offers), tuple(left_out))


def _pairs(
    products: Sequence[PricedProduct], value_tiers: Sequence[ValueTier]
) -> Iterator[tuple[PricedProduct, int, ValueTier]]:
    for product in products:
        for number, tier in enumerate(value_tiers):
            yield product, number, tier


def _floor(product: PricedProduct, guardrails: Guardrails) -> int | LeftOutReason | None:
    """What a piece must cost at least, None = anything; or why it is unknown."""
    if product.price_minor is None:
        return LeftOutReason.PRICE_UNKNOWN
    if guardrails.min_margin_percent is None:
        return guardrails.price_floor_minor
    if product.unit_cost_minor is None:
        return LeftOutReason.COST_UNKNOWN
    # The margin counts on what is paid: cost / (1 − margin), rounded up.
    for_margin = ceil(product.unit_cost_minor / (1 - exact(guardrails.min_margin_percent) / 100))
    return max(for_margin, guardrails.price_floor_minor or 0)


def _document(
    template: Mapping[str, object], product: PricedProduct, tier: ValueTier, floor_minor: int | None, currency: str
) -> dict[str, object]:
    name = template.get("name", f"{VALUE} off {PRODUCT}")
    if isinstance(name, str):
        # Not str.format: that would let a template look into Python's objects.
        name = name.replace(VALUE, _value_in_words(tier, currency)).replace(PRODUCT, product.name)[:NAME_LENGTH]
    return {
        **template,
        "name": name,
        "discount": tier.discount.model_dump(mode="json"),
        "applies_to": [{"product_ids": [product.product_id]}],
        "tiers": list(tier.tiers),
        "price_floor_minor": floor_minor,
    }


def _value_in_words(tier: ValueTier, currency: str) -> str:
    if isinstance(tier.discount, Percent):
        return f"{tier.discount.percent:g} %"
    return f"{format_amount(tier.discount.amount_minor, currency)} {currency}"


def _taken_off_a_piece(terms: OfferTerms, product: PricedProduct, currency: str, now: datetime) -> int:
    """What the till would take off, the floor and what else the terms ask for left aside."""
    assert product.price_minor is not None
    plain = OfferTerms(name=terms.name, discount=terms.discount)
    basket = Basket((BasketLine("1", product.product_id, quantity=1.0, amount_minor=product.price_minor),), currency)
    applied = best_combination([UsableCoupon("1", "1", "1", plain)], basket, Situation(now), {}).applied
    return sum(one.discount_minor for one in applied)


def _beyond(discount_minor: int, terms: OfferTerms, price_minor: int, guardrails: Guardrails) -> LeftOutReason | None:
    if discount_minor == 0:
        return LeftOutReason.NO_EFFECT
    # As fractions, so that rounding cannot make a discount of just max_percent too large.
    if Fraction(discount_minor * 100, price_minor) > exact(guardrails.max_percent):
        return LeftOutReason.ABOVE_MAX_PERCENT
    if price_minor - discount_minor < (terms.price_floor_minor or 0):
        return LeftOutReason.BELOW_FLOOR
    return None
