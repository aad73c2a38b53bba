"""Whether an offer may be used here at all, before anything is counted or taken off."""

from app.offers.rules.condition_check import not_among, products_in_words, selected_lines, unmet
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.terms import OfferTerms


def eligible_lines(terms: OfferTerms, basket: Basket) -> tuple[BasketLine, ...]:
    """The lines that the offer applies to, in the basket's order: those it names, or all, without those it excludes."""
    lines = selected_lines(terms.applies_to, basket.lines) if terms.applies_to else basket.lines
    if not terms.excludes:
        return lines
    excluded = {line.line_id for line in selected_lines(terms.excludes, lines)}
    return tuple(line for line in lines if line.line_id not in excluded)


def refusal_of(terms: OfferTerms, basket: Basket, situation: Situation) -> Refusal | None:
    """The first thing that speaks against the offer: channel, store, tier, products, minimum basket, its condition.

    The coupon's validity and the limits are not looked at.
    """
    if terms.channels and (
        refusal := not_among(terms.channels, situation.channel, "/channels", ReasonCode.CHANNEL_NOT_ALLOWED)
    ):
        return refusal
    if terms.store_ids and (
        refusal := not_among(terms.store_ids, situation.store_id, "/store_ids", ReasonCode.STORE_NOT_ALLOWED)
    ):
        return refusal
    if terms.tiers and (refusal := not_among(terms.tiers, situation.tier, "/tiers", ReasonCode.TIER_NOT_ALLOWED)):
        return refusal
    if not eligible_lines(terms, basket):
        return _no_products(terms)
    least_minor = terms.minimum_basket_minor
    if least_minor is not None and basket.total_minor < least_minor:
        return Refusal(
            ReasonCode.MINIMUM_BASKET_NOT_MET,
            "the basket costs too little",
            least_minor,
            basket.total_minor,
            "/minimum_basket_minor",
        )
    return None if terms.condition is None else unmet(terms.condition, basket, situation)


def _no_products(terms: OfferTerms) -> Refusal:
    words = products_in_words(terms.applies_to) or "any product"
    if terms.excludes:
        words += f" without {products_in_words(terms.excludes)}"
    pointer = "/applies_to" if terms.applies_to else "/excludes" if terms.excludes else None
    return Refusal(
        ReasonCode.PRODUCTS_NOT_IN_BASKET, "no such product is in the basket", words, actual=None, pointer=pointer
    )
