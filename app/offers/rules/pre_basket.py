"""Eligibility before there is a basket: a coupon is shown where it can be used, whatever is bought."""

from dataclasses import dataclass
from typing import Literal

from app.domain import Channel
from app.offers.rules.condition_check import unmet
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.conditions import AllOf, AnyOf, BasketTotal, Condition, Contains, InChannel, InStore, Not
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.terms import OfferTerms

_NO_BASKET = Basket((), "")
_Outcome = ReasonCode | Literal[True] | None
"""Why a condition is not met; True = it is; None = the basket, or what was not given, decides."""


@dataclass(frozen=True, slots=True)
class PreBasketTerms:
    """Where, by whom and when an offer may be used, as its terms have it; empty tuples and None demand nothing."""

    channels: tuple[Channel, ...]
    store_ids: tuple[str, ...]
    tiers: tuple[str, ...]
    condition: Condition | None


def pre_basket_terms(terms: OfferTerms) -> PreBasketTerms | None:
    """What the terms demand apart from products, time and money; None when that is nothing."""
    if not (terms.channels or terms.store_ids or terms.tiers or terms.condition):
        return None
    return PreBasketTerms(terms.channels, terms.store_ids, terms.tiers, terms.condition)


def pre_basket_reason(pre_basket: PreBasketTerms, situation: Situation) -> ReasonCode | None:
    """Why the offer cannot be used here, whatever the basket: the first of channel, store, tier and condition.

    A channel or store that is not given speaks against nothing. A tier is always known: who has none is of none.
    """
    for allowed, actual, code in (
        (pre_basket.channels, situation.channel, ReasonCode.CHANNEL_NOT_ALLOWED),
        (pre_basket.store_ids, situation.store_id, ReasonCode.STORE_NOT_ALLOWED),
    ):
        if allowed and actual is not None and actual not in allowed:
            return code
    if pre_basket.tiers and situation.tier not in pre_basket.tiers:
        return ReasonCode.TIER_NOT_ALLOWED
    outcome = True if pre_basket.condition is None else _outcome(pre_basket.condition, situation)
    return outcome if isinstance(outcome, ReasonCode) else None


def _outcome(condition: Condition, situation: Situation) -> _Outcome:
    """Kleene's logic of three values."""
    match condition:
        case AllOf():
            outcomes = [_outcome(one, situation) for one in condition.of]
            reasons = [outcome for outcome in outcomes if isinstance(outcome, ReasonCode)]
            return reasons[0] if reasons else None if None in outcomes else True
        case AnyOf():
            outcomes = [_outcome(one, situation) for one in condition.of]
            return True if True in outcomes else None if None in outcomes else outcomes[0]
        case Not():
            outcome = _outcome(condition.of, situation)
            if outcome is None:
                return None
            return ReasonCode.CONDITION_NOT_MET if outcome is True else True
        case BasketTotal() | Contains():
            return None
        case InChannel() if situation.channel is None:
            return None
        case InStore() if situation.store_id is None:
            return None
        case _:
            refusal = unmet(condition, _NO_BASKET, situation)
            return True if refusal is None else refusal.code
