"""The best combination for the customer: which coupons are used together on a basket, and why the others are not."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from app.offers.rules.applicability import refusal_of
from app.offers.rules.discounts import least_with_effect
from app.offers.rules.search import CouponSet, find_best
from app.offers.rules.stacking import (
    NO_EFFECT,
    Application,
    CandidateCoupon,
    PricedLines,
    apply_in_order,
    candidate_coupon,
    effect_of,
    highest_floors,
    overdrawn,
    priced_lines,
)
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.money import half_up
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.terms import Amount, FixedPrice, NForM, OfferTerms, Percent, Points

MAX_COMBINED = 12
"""Out of so many combinable coupons the best combination is found exactly: 4,096 subsets."""


@dataclass(frozen=True, slots=True)
class UsableCoupon:
    """A coupon that might be used; `uses` names the capacities, limits above all, that it takes 1 each of.

    Its campaign's budget has the key `budget:<campaign_id>`; of that it takes what it costs. `held_since`: its
    conditions about the time count as of then.
    """

    coupon_id: str
    offer_id: str
    campaign_id: str
    terms: OfferTerms
    uses: tuple[str, ...] = ()
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much is left of a limit or a budget, and the refusal of whoever needs more.

    Of a budget `required` and `actual` are filled in: what the coupon costs, and what the others leave.
    Of a limit only where they are None.
    """

    left: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class LineShare:
    """What one line gets of a discount; `quantity` is that of the whole line."""

    line_id: str
    discount_minor: int
    quantity: float


@dataclass(frozen=True, slots=True)
class AppliedCoupon:
    """A coupon that is used. `cost_minor` is what its campaign pays: the discount, and its points at their cost.

    `lines`, by line_id: those with a discount, or for points all that the offer applies to.
    """

    coupon_id: str
    offer_id: str
    campaign_id: str
    discount_minor: int
    points: int
    cost_minor: int
    lines: tuple[LineShare, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """Every coupon once: those used, in the order they take off, and the refusals of the others by coupon_id."""

    applied: tuple[AppliedCoupon, ...]
    refused: Mapping[str, Refusal]


def best_combination(
    coupons: Sequence[UsableCoupon], basket: Basket, situation: Situation, capacities: Mapping[str, Capacity]
) -> Combination:
    """What gives the customer most, whatever the order of coupons and lines; docs/coupon-rules.md has the rules.

    The coupons have distinct ids, all of the basket's currency. A capacity that is not given is unlimited. Exact
    up to `MAX_COMBINED` combinable coupons with an effect; above that the strongest of them by what each gives alone
    take part, ties by id, and the rest are refused with `lower_discount`.
    """
    priced = priced_lines(basket)
    stacking = _Stacking(priced, capacities)
    refused: dict[str, Refusal] = {}
    for coupon in coupons:
        then = situation if coupon.held_since is None else replace(situation, now_at=coupon.held_since)
        refusal = refusal_of(coupon.terms, basket, then) or stacking.add(_candidate(coupon, basket, priced))
        if refusal is not None:
            refused[coupon.coupon_id] = refusal
    best = stacking.best()
    refused.update(stacking.refusals(best))
    return Combination(_applied(best, coupons, priced), refused)


class _Stacking:
    """The coupons that have an effect alone, each as it is applied then."""

    def __init__(self, priced: PricedLines, capacities: Mapping[str, Capacity]) -> None:
        self._priced = priced
        self._capacities = capacities
        self._left_of = {key: capacity.left for key, capacity in capacities.items()}
        self._alone: list[Application] = []

    def add(self, coupon: CandidateCoupon) -> Refusal | None:
        """Lets the coupon take part; else why it cannot: a limit is reached, or it has no effect even alone."""
        # Limits come before the effect among the reasons; NO_EFFECT costs nothing and so leaves the budget out.
        for key, count in coupon.demand(NO_EFFECT).items():
            if count > self._left_of.get(key, count):
                return self._beyond(key, count, used_by_others=0, coupon=coupon)
        alone = next(apply_in_order([coupon], self._priced))
        if not alone.effect.gives_something:
            return _no_effect_refusal(alone, [coupon], self._priced)
        self._alone.append(alone)
        return None

    def best(self) -> tuple[CandidateCoupon, ...]:
        """The best combination's members."""
        singles = [
            CouponSet(alone.effect.discount_minor, alone.effect.points, (alone.coupon,))
            for alone in self._alone
            if self._overdrawn(alone.coupon, [alone]) is None
        ]
        return find_best(singles, self._combined(), self._priced, self._left_of).members

    def refusals(self, best: Sequence[CandidateCoupon]) -> dict[str, Refusal]:
        """Why each of the others is not among the best."""
        used = {member.coupon_id for member in best}
        combined = {coupon.coupon_id for coupon in self._combined()}
        return {
            alone.coupon.coupon_id: self._why_not_used(alone, best, combined)
            for alone in self._alone
            if alone.coupon.coupon_id not in used
        }

    def _combined(self) -> list[CandidateCoupon]:
        """The strongest of the combinable ones."""
        alone = [one for one in self._alone if one.coupon.combinable]
        alone.sort(key=lambda one: (-one.effect.discount_minor, -one.effect.points, one.coupon.coupon_id))
        return [one.coupon for one in alone[:MAX_COMBINED]]

    def _why_not_used(self, alone: Application, best: Sequence[CandidateCoupon], combined: Container[str]) -> Refusal:
        coupon = alone.coupon
        together = [*apply_in_order([*best, coupon], self._priced)]
        best_minor = sum(one.effect.discount_minor for one in apply_in_order(best, self._priced))
        if (refusal := self._overdrawn(coupon, [alone])) is not None:
            return refusal
        if coupon.combinable and coupon.coupon_id not in combined:
            return _lower_discount_refusal(best_minor, alone.effect.discount_minor)
        if (refusal := _stacking_refusal(coupon, best)) is not None:
            return refusal
        application = next(one for one in together if one.coupon is coupon)
        if not application.effect.gives_something:
            return _no_effect_refusal(application, [*best, coupon], self._priced)
        return self._overdrawn(coupon, together) or _lower_discount_refusal(
            best_minor, sum(one.effect.discount_minor for one in together)
        )

    def _overdrawn(self, coupon: CandidateCoupon, together: Sequence[Application]) -> Refusal | None:
        """The refusal of a capacity that does not suffice for the coupon and the others applied with it."""
        used: dict[str, int] = {}
        for one in together:
            used = one.coupon.used_with(used, one.effect)
        effect = next(one.effect for one in together if one.coupon is coupon)
        key = overdrawn(coupon, effect, used, self._left_of)
        if key is None:
            return None
        count = coupon.demand(effect)[key]
        return self._beyond(key, count, used[key] - count, coupon)

    def _beyond(self, key: str, count: int, used_by_others: int, coupon: CandidateCoupon) -> Refusal:
        refusal = self._capacities[key].refusal
        left = self._left_of[key] - used_by_others
        if key == coupon.budget:
            return replace(refusal, required=count, actual=left)
        return replace(
            refusal,
            required=count if refusal.required is None else refusal.required,
            actual=left if refusal.actual is None else refusal.actual,
        )


def _candidate(coupon: UsableCoupon, basket: Basket, priced: PricedLines) -> CandidateCoupon:
    return candidate_coupon(
        coupon.coupon_id,
        coupon.offer_id,
        coupon.terms,
        basket,
        priced,
        uses=coupon.uses,
        budget=f"budget:{coupon.campaign_id}",
    )


def _applied(
    best: Sequence[CandidateCoupon], coupons: Sequence[UsableCoupon], priced: PricedLines
) -> tuple[AppliedCoupon, ...]:
    coupon_of = {coupon.coupon_id: coupon for coupon in coupons}
    return tuple(
        AppliedCoupon(
            one.coupon_id,
            coupon_of[one.coupon_id].offer_id,
            coupon_of[one.coupon_id].campaign_id,
            effect.discount_minor,
            effect.points,
            effect.cost_minor,
            tuple(
                LineShare(priced.line_ids[row], minor, priced.quantities[row])
                for row, minor in zip(one.lines, effect.taken, strict=True)
                if minor or not effect.discount_minor
            ),
        )
        for one, _, effect in apply_in_order(best, priced)
    )


def _no_effect_refusal(application: Application, together: Sequence[CandidateCoupon], priced: PricedLines) -> Refusal:
    """Why the coupon gave nothing where it was applied: a price floor of those used together, or its own terms."""
    one, left, _ = application
    # It gives something once the floors are lifted, so a floor is what stands in its way.
    if effect_of(one, left, [0] * len(left), priced).gives_something:
        floors = highest_floors(together, priced)
        return Refusal(
            ReasonCode.PRICE_FLOOR,
            "its lines may not get any cheaper",
            sum(floors[row] for row in one.lines),
            sum(left[row] for row in one.lines),
            "/price_floor_minor" if one.floors else None,
        )
    return _no_effect(one, [left[row] for row in one.lines], priced)


def _no_effect(one: CandidateCoupon, left: Sequence[int], priced: PricedLines) -> Refusal:
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
            detail, required, actual = "less than a whole currency unit", priced.minor_per_major, left_minor
        case Amount() | NForM():
            detail, required, actual = "nothing is left to take off", 1, left_minor
        case _:
            assert_never(one.discount)
    return Refusal(ReasonCode.NO_EFFECT, detail, required, actual, "/discount")


def _stacking_refusal(one: CandidateCoupon, chosen: Sequence[CandidateCoupon]) -> Refusal | None:
    """The refusal where stacking forbids the coupon together with one of those chosen."""
    others = [member for member in chosen if not one.combines_with(member)]
    if not others:
        return None
    ids = ",".join(sorted(member.coupon_id for member in others))
    if not one.combinable:
        return Refusal(ReasonCode.NOT_COMBINABLE, "it can only be used alone", "alone", ids, "/combinable")
    if all(member.combinable for member in others):
        return Refusal(ReasonCode.NOT_COMBINABLE, "another of its group is used", one.group, ids, "/group")
    return Refusal(ReasonCode.NOT_COMBINABLE, "what is used can only be used alone", "combinable", ids)


def _lower_discount_refusal(best_minor: int, actual_minor: int) -> Refusal:
    """The refusal where the best choice gives as much or more without the coupon."""
    return Refusal(ReasonCode.LOWER_DISCOUNT, "other coupons give as much or more without it", best_minor, actual_minor)
