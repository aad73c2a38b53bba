"""Why a coupon that may be used here gives nothing, or less than others: refusals with the figures behind them."""

from collections.abc import Sequence
from typing import assert_never

from app.offers.rules.discounts import least_with_effect
from app.offers.rules.stacking import Contender, Sheet, Turn, effect_of, highest_floors
from app.offers.terms.money import half_up
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.terms import Amount, FixedPrice, NForM, Percent, Points


def why_nothing(turn: Turn, together: Sequence[Contender], sheet: Sheet) -> Refusal:
    """Why the contender gave nothing in its turn: a price floor of those used together, or its own terms."""
    one, left, _ = turn
    if effect_of(one, left, [0] * len(left), sheet).gives_something:
        floors = highest_floors(together, sheet)
        return Refusal(
            ReasonCode.PRICE_FLOOR,
            "its lines may not get any cheaper",
            sum(floors[row] for row in one.lines),
            sum(left[row] for row in one.lines),
            "/price_floor_minor" if one.floors else None,
        )
    return _no_effect(one, [left[row] for row in one.lines], sheet)


def _no_effect(one: Contender, left: Sequence[int], sheet: Sheet) -> Refusal:
    left_minor = sum(left)
    match one.discount:
        case FixedPrice():
            detail, required = "no piece costs more than the fixed price", one.discount.price_minor
            actual = max(
                half_up(minor * one.pieces.per_piece, count) if count else 0
                for minor, count in zip(left, one.pieces.counts, strict=True)
            )
        case NForM() if one.pieces.whole_count < one.discount.take:
            detail, required, actual = "too few pieces", one.discount.take, one.pieces.whole_count
        case Percent():
            detail, required, actual = "too little to take a part of", least_with_effect(one.discount), left_minor
        case Points():
            detail, required, actual = "less than a whole currency unit", sheet.minor_per_major, left_minor
        case Amount() | NForM():
            detail, required, actual = "nothing is left to take off", 1, left_minor
        case _:
            assert_never(one.discount)
    return Refusal(ReasonCode.NO_EFFECT, detail, required, actual, "/discount")


def why_not_beside(one: Contender, chosen: Sequence[Contender]) -> Refusal | None:
    """The refusal where stacking forbids the contender beside one of those chosen."""
    others = [member for member in chosen if not one.stands_beside(member)]
    if not others:
        return None
    ids = ",".join(sorted(member.coupon_id for member in others))
    if not one.combinable:
        return Refusal(ReasonCode.NOT_COMBINABLE, "it can only be used alone", "alone", ids, "/combinable")
    if all(member.combinable for member in others):
        return Refusal(ReasonCode.NOT_COMBINABLE, "another of its group is used", one.group, ids, "/group")
    return Refusal(ReasonCode.NOT_COMBINABLE, "what is used can only be used alone", "combinable", ids)


def lower_discount(best_minor: int, actual_minor: int) -> Refusal:
    """The refusal where the best choice gives as much or more without the contender."""
    return Refusal(ReasonCode.LOWER_DISCOUNT, "other coupons give as much or more without it", best_minor, actual_minor)
