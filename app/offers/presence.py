"""What speaks against an offer before there is a basket: a coupon is shown where it can be used, whatever is bought."""

from app.offers.basket import Basket, Situation
from app.offers.conditions import AllOf, AnyOf, BasketTotal, Condition, Contains, InChannel, InStore, Not, OfTier
from app.offers.judgement import not_among, unmet
from app.offers.reasons import ReasonCode, Refusal
from app.offers.terms import OfferTerms

_NO_BASKET = Basket((), "")


def refusal_without_basket(terms: OfferTerms, situation: Situation) -> Refusal | None:
    """The first of channel, store, tier and condition that is not met; what was not told speaks against nothing."""
    for allowed, actual, pointer, code in (
        (terms.channels, situation.channel, "/channels", ReasonCode.CHANNEL_NOT_ALLOWED),
        (terms.store_ids, situation.store_id, "/store_ids", ReasonCode.STORE_NOT_ALLOWED),
    ):
        if allowed and actual is not None and (refusal := not_among(allowed, actual, pointer, code)):
            return refusal
    if terms.tiers and (refusal := not_among(terms.tiers, situation.tier, "/tiers", ReasonCode.TIER_NOT_ALLOWED)):
        return refusal
    condition = None if terms.condition is None else _decided(terms.condition, situation)
    return None if condition is None else unmet(condition, _NO_BASKET, situation)


def _decided(condition: Condition, situation: Situation) -> Condition | None:
    """The part of the condition that is decided without a basket; None when there is none."""
    match condition:
        case AllOf():
            parts = [part for one in condition.of if (part := _decided(one, situation)) is not None]
            return AllOf(type="all", of=tuple(parts)) if parts else None
        case AnyOf():
            parts = [part for one in condition.of if (part := _decided(one, situation)) is not None]
            return AnyOf(type="any", of=tuple(parts)) if len(parts) == len(condition.of) else None
        case Not():
            # Only a part that is decided whole may be turned round.
            return condition if _decided(condition.of, situation) == condition.of else None
        case BasketTotal() | Contains():
            return None
        case InChannel():
            return None if situation.channel is None else condition
        case InStore():
            return None if situation.store_id is None else condition
        case OfTier():
            return None if situation.tier is None else condition
        case _:
            return condition
