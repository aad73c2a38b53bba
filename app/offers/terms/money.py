"""Whole minor units: how many make a major one, how a sum is shared out, and which way a half goes."""

import math
from collections.abc import Sequence
from fractions import Fraction

_NONE = (
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
)
_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")

MINOR_DIGITS_MOST = 2
MINOR_DIGITS = dict.fromkeys(_NONE, 0) | dict.fromkeys(_THREE, 3)
"""Currencies with other than `MINOR_DIGITS_MOST` decimals (ISO 4217)."""

MAX_MINOR = 2**53 - 1
"""The largest amount that every reader of JSON keeps exactly."""


def minor_per_major(currency: str) -> int:
    """How many minor units are one major unit: 100 cents are a euro."""
    return int(10 ** MINOR_DIGITS.get(currency, MINOR_DIGITS_MOST))


def format_amount(amount_minor: int, currency: str, *, thousands: str = "") -> str:
    """The amount in major units with the currency's decimals, as 1234.50, or 1234 for yen; `thousands` as 1,234.50."""
    digits = MINOR_DIGITS.get(currency, MINOR_DIGITS_MOST)
    major, minor = divmod(abs(amount_minor), 10**digits)
    whole = f"{'-' if amount_minor < 0 else ''}{major:,}".replace(",", thousands)
    return f"{whole}.{minor:0{digits}d}" if digits else whole


def half_up(numerator: int, denominator: int) -> int:
    """The whole number nearest to the quotient, the greater one of two; `denominator` above 0."""
    return (2 * numerator + denominator) // (2 * denominator)


def exact(quantity: float) -> Fraction:
    """The decimal number that was written down as this float: 3/10 for 0.3."""
    # repr() is the decimal that reads back as this float; Fraction(0.3) is the binary number instead.
    return Fraction(int(quantity)) if quantity == int(quantity) else Fraction(repr(quantity))


def two_decimals(number: float) -> float:
    """The number itself; raises ValueError where it was written down with more decimals."""
    # Exactly: any tolerance takes a number near 0 for 0.
    if (exact(number) * 100).denominator != 1:
        raise ValueError("Input should have at most two decimals")
    return number


def three_decimals(number: float) -> float:
    """The number itself; raises ValueError where it was written down with more decimals."""
    if (exact(number) * 1000).denominator != 1:
        raise ValueError("Input should have at most three decimals")
    return number


def shares(total_minor: int, weights: Sequence[float | int | Fraction]) -> list[int]:
    """`total_minor` shared out by the weights to the last unit: largest remainder, ties to the earlier.

    A weight of 0 gets nothing. Raises ValueError for a total below 0, for a weight below 0 or not finite, and where
    there is something to share and no weight is above 0.
    """
    if total_minor < 0 or any(weight < 0 or not math.isfinite(weight) for weight in weights):
        raise ValueError(f"cannot share {total_minor} by {list(weights)}: give finite numbers, none of them negative")
    whole = _as_integers(weights)
    sum_of_weights = sum(whole)
    if not sum_of_weights:
        if total_minor:
            raise ValueError(f"cannot share {total_minor} by {list(weights)}: give a weight above 0")
        return [0] * len(whole)
    parts = [divmod(total_minor * weight, sum_of_weights) for weight in whole]
    shared = [part for part, _ in parts]
    missing = total_minor - sum(shared)
    # Fewer than there are parts with a remainder, so a weight of 0 never gets a unit.
    if missing:
        for index in sorted(range(len(parts)), key=lambda index: -parts[index][1])[:missing]:
            shared[index] += 1
    return shared


def _as_integers(weights: Sequence[float | int | Fraction]) -> Sequence[int]:
    """Integers in the proportion of the weights, exactly."""
    if all(type(weight) is int for weight in weights):
        return weights  # type: ignore[return-value]  # just looked
    fractions = [Fraction(weight) for weight in weights]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    return [int(fraction * common) for fraction in fractions]
