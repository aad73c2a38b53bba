"""Sums to the cent, as the reference model of the ledger makes them."""

from collections.abc import Sequence
from fractions import Fraction


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """`total` by the weights: rounded down, then one more for the largest remainders, ties to the earlier."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    parts = [int(one) for one in exact]
    by_remainder = sorted(range(len(parts)), key=lambda position: parts[position] - exact[position])
    for position in by_remainder[: total - sum(parts)]:
        parts[position] += 1
    return parts


def half_up(value: Fraction) -> int:
    """The nearest whole number, the greater of two."""
    return int(value + Fraction(1, 2))
