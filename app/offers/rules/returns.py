"""What stays of a redemption's discounts when goods come back.

A piece takes its part of the discount with it, and no coupon keeps more than it would give on what remains. A return
never costs the customer anything: where what remains costs more by itself than was paid, less of the discount goes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from app.offers.rules.applicability import refusal_of
from app.offers.rules.combination import UsableCoupon, best_combination
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.money import exact, shares


@dataclass(frozen=True, slots=True)
class SoldLine:
    """A line as it was sold, how much of it was back `before` and is back `after`; no amount where none was kept."""

    quantity: float
    before: Fraction
    after: Fraction
    amount_minor: int | None

    @property
    def left_minor(self) -> int:
        """What the part that stays costs before coupons."""
        return (
            0
            if self.amount_minor is None
            else self.amount_minor - part_of(self.amount_minor, self.after, self.quantity)
        )

    @property
    def returned_minor(self) -> int:
        """What the part that comes back now costs before coupons; all parts add up to the line."""
        if self.amount_minor is None:
            return 0
        return self.amount_minor - self.left_minor - part_of(self.amount_minor, self.before, self.quantity)


@dataclass(frozen=True, slots=True)
class Given:
    """What one coupon gave on one line, and what was left of it before this return."""

    coupon_id: str
    line_id: str
    discount_minor: int
    points: int
    left_minor: int
    left_points: int


def part_of(whole: int, returned: Fraction, quantity: float) -> int:
    """What came back of `whole` by the time that so much of the line's quantity is back, rounded down."""
    return whole if returned >= exact(quantity) else int(whole * returned / exact(quantity))


def offered_on(
    coupons: Sequence[UsableCoupon], bought: Basket, remaining: Basket, situation: Situation
) -> dict[str, tuple[int, int]]:
    """Discount and points that these coupons would give together on what remains, by coupon id.

    A coupon is missing whose terms the basket as it was bought does not meet by itself, as those of a happy hour that
    was over when what was reserved in it was redeemed.
    """
    known = [one for one in coupons if refusal_of(one.terms, bought, situation) is None]
    given = {
        one.coupon_id: (one.discount_minor, one.points)
        for one in best_combination(known, remaining, situation, {}).applied
    }
    return {one.coupon_id: given.get(one.coupon_id, (0, 0)) for one in known}


def left_of(
    given: Sequence[Given], lines: Mapping[str, SoldLine], offered: Mapping[str, tuple[int, int]]
) -> list[tuple[int, int]]:
    """Discount and points that are left of each of `given`, in their order, never more than before.

    `offered` as from `offered_on`; what it misses keeps the part of the pieces that stay.
    """
    minor = _within_lines(given, lines)
    points = [min(one.left_points, one.points - _back(one.points, lines[one.line_id])) for one in given]
    for coupon_id, (most_minor, most_points) in offered.items():
        mine = [position for position, one in enumerate(given) if one.coupon_id == coupon_id]
        _lower(minor, mine, most_minor)
        _lower(points, mine, most_points)
    if all(line.amount_minor is not None for line in lines.values()):
        _keep_what_was_not_paid(given, lines, minor)
    return list(zip(minor, points, strict=True))


def _back(whole: int, line: SoldLine) -> int:
    return part_of(whole, line.after, line.quantity)


def _within_lines(given: Sequence[Given], lines: Mapping[str, SoldLine]) -> list[int]:
    """The parts of the pieces that stay; where rounding makes them more than a line costs, no more than that."""
    minor = [min(one.left_minor, one.discount_minor - _back(one.discount_minor, lines[one.line_id])) for one in given]
    for line_id, mine in _by_line(given).items():
        if lines[line_id].amount_minor is not None:
            _lower(minor, mine, lines[line_id].left_minor)
    return minor


def _lower(amounts: list[int], positions: Sequence[int], most: int) -> None:
    """No more than `most` together, shared out by what they were."""
    before = [amounts[position] for position in positions]
    if sum(before) > most:
        for position, amount in zip(positions, shares(most, before), strict=True):
            amounts[position] = amount


def _keep_what_was_not_paid(given: Sequence[Given], lines: Mapping[str, SoldLine], minor: list[int]) -> None:
    """Raises what is left until the discount that goes is no more than what comes back costs."""
    returned_minor = sum(line.returned_minor for line in lines.values())
    missing = sum(one.left_minor for one in given) - returned_minor - sum(minor)
    if missing <= 0:
        return
    by_line = _by_line(given)
    room = [
        min(sum(given[position].left_minor for position in mine), lines[line_id].left_minor)
        - sum(minor[position] for position in mine)
        for line_id, mine in by_line.items()
    ]
    # There is room for all of it: a line's discount was at most what the line cost.
    for mine, more in zip(by_line.values(), shares(missing, room), strict=True):
        for position, part in zip(mine, shares(more, [given[at].left_minor - minor[at] for at in mine]), strict=True):
            minor[position] += part


def _by_line(given: Sequence[Given]) -> dict[str, list[int]]:
    by_line: dict[str, list[int]] = defaultdict(list)
    for position, one in enumerate(given):
        by_line[one.line_id].append(position)
    return by_line
