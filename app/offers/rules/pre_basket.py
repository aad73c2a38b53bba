"""What speaks against an offer before there is a basket: a coupon is shown where it can be used, whatever is bought."""

from dataclasses import dataclass
from typing import Literal

from app.domain import Channel
from app.offers.rules.condition_check import unmet
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.conditions import AllOf, AnyOf, BasketTotal, Condition, Contains, InChannel, InStore, Not
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.terms import OfferTerms

_NO_BASKET = Basket((), "")
_Verdict = ReasonCode | Literal[True] | None
"""Why a condition is not met; True = it is; None = the basket, or what was not told, decides."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Where, by whom and when an offer may be used, as its terms say; empty tuples and None demand nothing."""

    channels: tuple[Channel, ...]
    store_ids: tuple[str, ...]
    tiers: tuple[str, ...]
    condition: Condition | None


def presence_of(terms: OfferTerms) -> Presence | None:
    """What the terms demand besides products, time and money; None when that is nothing."""
    if not (terms.channels or terms.store_ids or terms.tiers or terms.condition):
        return None
    return Presence(terms.channels, terms.store_ids, terms.tiers, terms.condition)


def reason_against(presence: Presence, situation: Situation) -> ReasonCode | None:
    """Why the offer cannot be used here whatever the basket: the first of channel, store, tier and condition.

    A channel or store that was not told speaks against nothing. A tier is always known: who has none is of none.
    """
    for allowed, actual, code in (
        (presence.channels, situation.channel, ReasonCode.CHANNEL_NOT_ALLOWED),
        (presence.store_ids, situation.store_id, ReasonCode.STORE_NOT_ALLOWED),
    ):
        if allowed and actual is not None and actual not in allowed:
            return code
    if presence.tiers and situation.tier not in presence.tiers:
        return ReasonCode.TIER_NOT_ALLOWED
    verdict = True if presence.condition is None else _verdict(presence.condition, situation)
    return verdict if isinstance(verdict, ReasonCode) else None


def _verdict(condition: Condition, situation: Situation) -> _Verdict:
    """Kleene's logic of three values."""
    match condition:
        case AllOf():
            verdicts = [_verdict(one, situation) for one in condition.of]
            reasons = [verdict for verdict in verdicts if isinstance(verdict, ReasonCode)]
            return reasons[0] if reasons else None if None in verdicts else True
        case AnyOf():
            verdicts = [_verdict(one, situation) for one in condition.of]
            return True if True in verdicts else None if None in verdicts else verdicts[0]
        case Not():
            verdict = _verdict(condition.of, situation)
            if verdict is None:
                return None
            return ReasonCode.CONDITION_NOT_MET if verdict is True else True
        case BasketTotal() | Contains():
            return None
        case InChannel() if situation.channel is None:
            return None
        case InStore() if situation.store_id is None:
            return None
        case _:
            refusal = unmet(condition, _NO_BASKET, situation)
            return True if refusal is None else refusal.code
