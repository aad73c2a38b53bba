"""The search for the combination that gives the most: every subset that a bound cannot rule out."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import or_
from typing import NamedTuple

from app.offers.rules.discounts import least_left
from app.offers.rules.stacking import (
    CandidateCoupon,
    PricedLines,
    effect_of,
    highest_floors,
    left_after,
    most_of,
    most_points,
    overdrawn,
)


class CouponSet(NamedTuple):
    """Coupons that may be used together, and what they give; the best gives the largest discount.

    Between equals more points decide, then fewer coupons, then the ids.
    """

    discount_minor: int
    points: int
    members: tuple[CandidateCoupon, ...]

    def is_better_than(self, other: "CouponSet") -> bool:
        """True in just one direction for any two."""
        return self._order() < other._order()

    def _order(self) -> tuple[int, int, int, list[str]]:
        ids = sorted(member.coupon_id for member in self.members)
        return (-self.discount_minor, -self.points, len(ids), ids)


class _PartialSet(NamedTuple):
    """Part of a combination, the rest of which comes later in the order of `rank`.

    `floored` has a bit for each kind of price floor among its members.
    """

    left: Sequence[int]
    found: CouponSet
    used: Mapping[str, int]
    floored: int


def find_best(
    singles: Sequence[CouponSet],
    combinable: Sequence[CandidateCoupon],
    priced: PricedLines,
    capacities: Mapping[str, int],
) -> CouponSet:
    """The best of the singles and of all combinations out of `combinable`; each member has an effect.

    Price floors hold for a combination as a whole, so each set of floors that may come together is searched by itself.
    """
    best = CouponSet(0, 0, ())
    for single in singles:
        best = single if single.is_better_than(best) else best
    kinds = list({tuple(one.floors.items()): None for one in combinable if one.floors})
    bits = {one.coupon_id: 1 << kinds.index(tuple(one.floors.items())) if one.floors else 0 for one in combinable}
    ranked = sorted(combinable, key=lambda one: one.rank)
    points = {one.coupon_id: most_points(one, priced) for one in ranked}
    # The fullest sets first: what they give lets the bounds rule out others.
    for floored in sorted(range(1 << len(kinds)), key=int.bit_count, reverse=True):
        members = [one for one in ranked if not bits[one.coupon_id] & ~floored]
        most = (_most_together(members, sum(priced.amounts)), sum(points[one.coupon_id] for one in members))
        # Equal bounds are searched too: fewer coupons or lower ids may still win.
        if most >= (best.discount_minor, best.points):
            best = _Search(members, bits, floored, priced, capacities, best).best()
    return best


class _Search:
    """One set of price floors: the combinations of the members, given in their order, in which each of these occurs."""

    def __init__(
        self,
        members: Sequence[CandidateCoupon],
        bits: Mapping[str, int],
        floored: int,
        priced: PricedLines,
        capacities: Mapping[str, int],
        best: CouponSet,
    ) -> None:
        self._members = members
        self._bits = [bits[one.coupon_id] for one in self._members]
        self._bits_to_come = list(accumulate(reversed(self._bits), or_))[::-1]
        self._points_to_come = _sums_from_the_end([most_points(one, priced) for one in self._members])
        self._least_left = _least_left(self._members)
        self._floors = highest_floors(self._members, priced)
        self._floored = floored
        self._priced = priced
        self._capacities = capacities
        self._best = best

    def best(self) -> CouponSet:
        """The best of these, or the one given where that is better."""
        self._extend(_PartialSet(self._priced.amounts, CouponSet(0, 0, ()), {}, floored=0), 0)
        return self._best

    def _extend(self, partial: _PartialSet, start: int) -> None:
        """Examines the partial set, and all that adds members from `start` on to it."""
        found = partial.found
        missing = self._floored & ~partial.floored
        if not missing and found.is_better_than(self._best):
            self._best = found
        left_minor = sum(partial.left)
        room_minor = sum([max(0, left - floor) for left, floor in zip(partial.left, self._floors, strict=True)])
        to_come = _sums_from_the_end([most_of(one, partial.left) for one in self._members[start:]])
        for position in range(start, len(self._members)):
            most_minor = min(
                to_come[position - start], room_minor, _most_taken(left_minor, *self._least_left[position])
            )
            most = (found.discount_minor + most_minor, found.points + self._points_to_come[position])
            # The bounds only fall from here on, so no later member needs a look either.
            if missing & ~self._bits_to_come[position] or most < (self._best.discount_minor, self._best.points):
                return
            extended = self._with(partial, position)
            if extended is not None:
                self._extend(extended, position + 1)

    def _with(self, partial: _PartialSet, position: int) -> _PartialSet | None:
        """The set with the member at `position`; None where it may not join, has no effect or overdraws something."""
        one = self._members[position]
        before = partial.found
        if not all(one.combines_with(member) for member in before.members):
            return None
        effect = effect_of(one, partial.left, self._floors, self._priced)
        if not effect.gives_something:
            return None
        used = one.used_with(partial.used, effect)
        if overdrawn(one, effect, used, self._capacities) is not None:
            return None
        found = CouponSet(
            before.discount_minor + effect.discount_minor, before.points + effect.points, (*before.members, one)
        )
        return _PartialSet(left_after(one, effect, partial.left), found, used, partial.floored | self._bits[position])


def _sums_from_the_end(values: Sequence[int]) -> list[int]:
    """For each position the sum of the values from there on."""
    return list(accumulate(reversed(values)))[::-1]


def _most_together(members: Sequence[CandidateCoupon], left_minor: int) -> int:
    """A bound on what the members, in their order, take off lines that cost so much together."""
    return min(sum(one.most_minor for one in members), _most_taken(left_minor, *_least_left(members)[0]))


def _most_taken(left_minor: int, ratio: float, less: float) -> int:
    """What may be taken where at least `ratio` of what is left stays but for `less`; one more, for floats round."""
    return int(left_minor * (1 - ratio + 1e-12) + less) + 1


def _least_left(members: Sequence[CandidateCoupon]) -> list[tuple[float, float]]:
    """For each position, and beyond the last, the `least_left` of the members from there on, one after the other."""
    bounds = [(1.0, 0.0)]
    for one in reversed(members):
        ratio, less = bounds[-1]
        own_ratio, own_less = least_left(one.discount, one.most_minor)
        bounds.append((ratio * own_ratio, ratio * own_less + less))
    return bounds[::-1]
