"""What one offer takes off its lines, given what is left of each: integers in, integers out."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, assert_never

from app.offers.terms.money import exact, half_up, shares
from app.offers.terms.terms import Amount, Discount, FixedPrice, NForM, Percent, Points

_WHOLE = 100 * 100
"""A whole in hundredths of a percent."""


class Pieces(NamedTuple):
    """The lines' quantities as integers: `counts` in parts of which `per_piece` are one piece (or kilogram)."""

    counts: tuple[int, ...]
    per_piece: int

    @property
    def whole_count(self) -> int:
        """How many whole pieces there are, line by line."""
        return sum(count // self.per_piece for count in self.counts)


def pieces_of(quantities: Sequence[float]) -> Pieces:
    """The quantities as they were written down."""
    fractions = [exact(quantity) for quantity in quantities]
    per_piece = math.lcm(*(fraction.denominator for fraction in fractions))
    return Pieces(tuple(int(fraction * per_piece) for fraction in fractions), per_piece)


def taken_off(discount: Discount, left: Sequence[int], room: Sequence[int], pieces: Pieces) -> list[int]:
    """What the discount takes off each line, between 0 and the line's `room`.

    `left` is what the lines still cost, `room` how much of that may go, both in minor units; the order of the lines
    decides between equals.
    """
    match discount:
        case Percent():
            return _percent(discount, left, room)
        case Amount():
            # By room and not by price, so that what a line at its floor cannot take goes to the others.
            return shares(min(discount.amount_minor, sum(room)), room)
        case FixedPrice():
            return _clipped(_fixed_price(discount, left, pieces), room)
        case NForM():
            return _clipped(_n_for_m(discount, left, pieces), room)
        case Points():
            return [0] * len(left)
        case _:
            assert_never(discount)


def points_given(discount: Discount, left_minor: int, *, minor_per_major: int) -> int:
    """The points for lines that still cost `left_minor` together; begun major units do not count."""
    if not isinstance(discount, Points):
        return 0
    return discount.points + left_minor // minor_per_major * discount.points_per_major


def most_taken_off(discount: Discount, left_minor: int, alone_minor: int) -> int:
    """A bound on what the discount takes off lines that cost `left_minor` together, each no more than before.

    `alone_minor` is what it would take off them as they were, without a price floor. Where prices of pieces are
    compared, less on one line may round half a unit up on another.
    """
    if isinstance(discount, Percent):
        return min(half_up(left_minor * _basis_points(discount), _WHOLE), alone_minor)
    return min(left_minor, alone_minor)


def least_left(discount: Discount, alone_minor: int) -> tuple[float, float]:
    """A bound on what is left of any sum that includes the lines: at least the first times that sum, less the second.

    `alone_minor` as for `most_taken_off`. Percents that follow each other multiply, which a sum of bounds cannot see.
    """
    if isinstance(discount, Percent) and discount.max_discount_minor is None:
        # The half is for rounding up, which takes at most that much more than the percentage.
        return 1 - discount.percent / 100, 0.5
    return 1.0, float(alone_minor)


def least_with_effect(discount: Percent) -> int:
    """The smallest sum that the discount takes a minor unit off."""
    # Half up makes 1 of half a unit, so the sum times the percentage must reach half of it; rounded up.
    return -(-_WHOLE // (2 * _basis_points(discount)))


def _basis_points(discount: Percent) -> int:
    # As a float 0.29 * 100 is 28.999…
    return round(discount.percent * 100)


def _clipped(wanted: Sequence[int], room: Sequence[int]) -> list[int]:
    return [min(one, most) for one, most in zip(wanted, room, strict=True)]


def _percent(discount: Percent, left: Sequence[int], room: Sequence[int]) -> list[int]:
    """Half up on the sum; a line at its floor does not pass its part on to the others."""
    total_minor = half_up(sum(left) * _basis_points(discount), _WHOLE)
    taken = _clipped(shares(total_minor, left), room)
    most_minor = discount.max_discount_minor
    return taken if most_minor is None or sum(taken) <= most_minor else shares(most_minor, taken)


def _fixed_price(discount: FixedPrice, left: Sequence[int], pieces: Pieces) -> list[int]:
    """The dearest pieces first; a line then costs the price of its pieces and the rest's part, rounded half up."""
    price_minor, per_piece = discount.price_minor, pieces.per_piece
    taken = [0] * len(left)
    allowed = sum(pieces.counts) if discount.max_quantity is None else discount.max_quantity * per_piece
    for line in _dearest_first(left, pieces):
        count = pieces.counts[line]
        # The dearest come first, so no piece from here on costs more than the price.
        if not allowed or left[line] * per_piece <= price_minor * count:
            break
        fixed = min(count, allowed)
        # Over one common denominator, so that only the last step rounds.
        costs = price_minor * fixed * count + left[line] * (count - fixed) * per_piece
        taken[line] = left[line] - half_up(costs, per_piece * count)
        allowed -= fixed
    return taken


def _n_for_m(discount: NForM, left: Sequence[int], pieces: Pieces) -> list[int]:
    """Pieces in a row from the dearest on, cut into groups; counted a line at a time, so cost grows with lines only.

    Weighed lines count with their whole pieces. What a line's free pieces cost is rounded half up; the sum is shared
    out over all pieces in groups by what they cost: whichever comes back has its part, whatever line it stands in.
    """
    groups = pieces.whole_count // discount.take
    if discount.max_groups is not None:
        groups = min(groups, discount.max_groups)
    end = groups * discount.take
    costs = [Fraction(0)] * len(left)
    free_minor = start = 0
    for line in _dearest_first(left, pieces):
        if start >= end:
            break
        stop = min(start + pieces.counts[line] // pieces.per_piece, end)
        free = _free_before(stop, discount) - _free_before(start, discount)
        free_minor += half_up(left[line] * free * pieces.per_piece, pieces.counts[line])
        costs[line] = Fraction(left[line] * (stop - start) * pieces.per_piece, pieces.counts[line])
        start = stop
    return shares(free_minor, costs)


def _free_before(position: int, discount: NForM) -> int:
    # Of each group the first, dearest `pay` pieces are paid for.
    groups, in_group = divmod(position, discount.take)
    return groups * (discount.take - discount.pay) + max(0, in_group - discount.pay)


def _dearest_first(left: Sequence[int], pieces: Pieces) -> list[int]:
    """The lines that have pieces, by what a piece costs."""
    counts = pieces.counts
    # sorted() is stable: equal prices keep the order of the line ids.
    return sorted((line for line in range(len(left)) if counts[line] > 0), key=lambda line: -left[line] / counts[line])
