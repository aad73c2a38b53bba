"""Stacking: what coupons take off one basket when they are used together, applied in the order that the rules set."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.offers.rules.applicability import eligible_lines
from app.offers.rules.discounts import Pieces, most_taken_off, pieces_of, points_given, taken_off
from app.offers.terms.basket import Basket
from app.offers.terms.money import minor_per_major
from app.offers.terms.terms import Discount, OfferTerms, Points

ORDER = ("fixed_price", "n_for_m", "percent", "amount", "points")
"""Which kind of discount goes first; each works on what those before it left."""


@dataclass(frozen=True, slots=True)
class PricedLines:
    """The basket as columns, its lines ordered by line_id so that the order they came in means nothing."""

    line_ids: tuple[str, ...]
    amounts: tuple[int, ...]
    quantities: tuple[float, ...]
    minor_per_major: int


@dataclass(frozen=True, slots=True)
class CandidateCoupon:
    """One coupon as stacking sees it; `lines` are rows of the priced lines, `floors` what each must cost at least,
    `most_minor` a bound on its discount.

    `uses` are the capacities it takes 1 each of, `budget` is the one that it takes its cost of.
    """

    coupon_id: str
    rank: tuple[int, bool, str, str]
    discount: Discount
    lines: tuple[int, ...]
    pieces: Pieces
    most_minor: int
    floors: Mapping[int, int]
    combinable: bool
    group: str | None
    uses: tuple[str, ...]
    budget: str

    def combines_with(self, other: "CandidateCoupon") -> bool:
        """True when stacking allows the two together."""
        return self.combinable and other.combinable and (self.group is None or self.group != other.group)

    def used_with(self, used: Mapping[str, int], effect: "Effect") -> dict[str, int]:
        """What is used of each capacity when this one is used as well."""
        after = dict(used)
        for key, count in self.demand(effect).items():
            after[key] = after.get(key, 0) + count
        return after

    def demand(self, effect: "Effect") -> dict[str, int]:
        """What it takes of each capacity, without those of which it takes nothing."""
        demand = dict(Counter(self.uses)) if len(self.uses) > 1 else dict.fromkeys(self.uses, 1)
        if effect.cost_minor:
            demand[self.budget] = demand.get(self.budget, 0) + effect.cost_minor
        return demand


class Effect(NamedTuple):
    """What a coupon gives: off each of its lines, in all, its points, and what its budget pays."""

    taken: list[int]
    discount_minor: int
    points: int
    cost_minor: int

    @property
    def gives_something(self) -> bool:
        """True when money or points come of it."""
        return self.discount_minor > 0 or self.points > 0


NO_EFFECT = Effect(taken=[], discount_minor=0, points=0, cost_minor=0)


class Application(NamedTuple):
    """One coupon applied after others: what they left of all lines, and what it gave."""

    coupon: CandidateCoupon
    left: list[int]
    effect: Effect


def priced_lines(basket: Basket) -> PricedLines:
    """The basket's lines in the order of their ids."""
    lines = sorted(basket.lines, key=lambda line: line.line_id)
    return PricedLines(
        tuple(line.line_id for line in lines),
        tuple(line.amount_minor for line in lines),
        tuple(line.quantity for line in lines),
        minor_per_major(basket.currency),
    )


def candidate_coupon(
    coupon_id: str,
    offer_id: str,
    terms: OfferTerms,
    basket: Basket,
    priced: PricedLines,
    *,
    uses: tuple[str, ...],
    budget: str,
) -> CandidateCoupon:
    """The coupon, prepared for these lines."""
    named = {line.line_id for line in eligible_lines(terms, basket)}
    lines = tuple(row for row, line_id in enumerate(priced.line_ids) if line_id in named)
    pieces = pieces_of([priced.quantities[row] for row in lines])
    amounts = [priced.amounts[row] for row in lines]
    return CandidateCoupon(
        coupon_id,
        # False sorts first: offers of named products before those of the whole basket.
        (ORDER.index(terms.discount.type), not terms.applies_to, offer_id, coupon_id),
        terms.discount,
        lines,
        pieces,
        # One unit per line more, because on less money the rounding of a line may fall the other way.
        sum(taken_off(terms.discount, amounts, amounts, pieces)) + len(lines),
        _floors(terms.price_floor_minor or 0, lines, pieces),
        terms.combinable,
        terms.group,
        uses,
        budget,
    )


def _floors(price_minor: int, lines: Sequence[int], pieces: Pieces) -> dict[int, int]:
    """What each line must cost at least, rounded up: part of a kilogram not less than its part of the floor either."""
    if not price_minor:
        return {}
    return {row: -(-price_minor * count // pieces.per_piece) for row, count in zip(lines, pieces.counts, strict=True)}


def highest_floors(coupons: Sequence[CandidateCoupon], priced: PricedLines) -> list[int]:
    """What each line must cost at least when these are used together."""
    floors = [0] * len(priced.amounts)
    for one in coupons:
        for row, floor in one.floors.items():
            floors[row] = max(floors[row], floor)
    return floors


def effect_of(one: CandidateCoupon, left: Sequence[int], floors: Sequence[int], priced: PricedLines) -> Effect:
    """What the coupon gives on what is left."""
    left_of_lines = [left[row] for row in one.lines]
    if isinstance(one.discount, Points):
        points = points_given(one.discount, sum(left_of_lines), minor_per_major=priced.minor_per_major)
        return Effect([0] * len(one.lines), 0, points, points * one.discount.point_cost_minor)
    room = [max(0, left[row] - floors[row]) for row in one.lines]
    taken = taken_off(one.discount, left_of_lines, room, one.pieces)
    discount_minor = sum(taken)
    return Effect(taken, discount_minor, points=0, cost_minor=discount_minor)


def most_of(one: CandidateCoupon, left: Sequence[int]) -> int:
    """A bound on the discount that the coupon gives when no more than this is left."""
    return most_taken_off(one.discount, sum([left[row] for row in one.lines]), one.most_minor)


def most_points(one: CandidateCoupon, priced: PricedLines) -> int:
    """A bound on the points that the coupon gives."""
    return effect_of(one, priced.amounts, priced.amounts, priced).points if isinstance(one.discount, Points) else 0


def overdrawn(
    one: CandidateCoupon, effect: Effect, used: Mapping[str, int], capacities: Mapping[str, int]
) -> str | None:
    """The first capacity that the coupon takes some of and that does not suffice for all that is `used`.

    What takes nothing needs nothing: an offer that costs no money works on an exhausted budget.
    """
    return next((key for key in one.demand(effect) if used[key] > capacities.get(key, used[key])), None)


def left_after(one: CandidateCoupon, effect: Effect, left: Sequence[int]) -> list[int]:
    """What is left of all lines once the coupon took its part."""
    after = list(left)
    for row, minor in zip(one.lines, effect.taken, strict=True):
        after[row] -= minor
    return after


def apply_in_order(coupons: Sequence[CandidateCoupon], priced: PricedLines) -> Iterator[Application]:
    """These coupons used together, each applied to what those before it left, in the order that the rules set."""
    floors = highest_floors(coupons, priced)
    left = list(priced.amounts)
    for one in sorted(coupons, key=lambda one: one.rank):
        effect = effect_of(one, left, floors, priced)
        yield Application(one, left, effect)
        left = left_after(one, effect, left)
