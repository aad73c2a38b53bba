"""Words for how often a customer buys something: what slates and the replenishment answer say of repeat purchases."""

from functools import cache, lru_cache
from math import ceil

from app.decision.customer.context import DAY_S, Context
from app.domain import Degraded, Floats, Reason

MIN_COUNT = 3
MIN_SPAN_DAYS = 2
MAX_SINCE_DAYS = 3650
"""Longer ago is day 0, which stands for unknown times."""


def rhythms(context: Context, *, count: Floats, first_day: Floats, last_day: Floats) -> list[Reason]:
    """Per row how often it is bought, from three purchases over two days on, and when it last was (days since 1970).

    Behind stale features there may be later purchases: then nothing is said of the last one.
    """
    is_stale = Degraded.FEATURES_STALE in context.degraded
    today = context.query.now_at.timestamp() // DAY_S
    return [
        rhythm(_gap_days(times, last - first), -1.0 if is_stale else today - last)
        for times, first, last in zip(count.tolist(), first_day.tolist(), last_day.tolist(), strict=True)
    ]


def _gap_days(count: float, span_days: float) -> int:
    """The mean gap in whole days, at least 1; 0 = too few purchases, or too close together, to tell."""
    return max(round(span_days / (count - 1)), 1) if count >= MIN_COUNT and span_days >= MIN_SPAN_DAYS else 0


def rhythm(gap_days: float, since_days: float) -> Reason:
    """Words for a mean gap in whole days, 0 = too few purchases to tell, and for days since the last, < 0 = unknown."""
    # A purchase of today lies after the day's beginning: -0.3 days ago is today.
    return Reason("buy_again", _usually(gap_days) + _last(ceil(since_days)))


@cache
def _usually(gap_days: float) -> str:
    if gap_days == 0:
        return "You bought this before"
    return "Usually every day" if gap_days == 1 else f"Usually every {gap_days:.0f} days"


@lru_cache(MAX_SINCE_DAYS)
def _last(whole_days: int) -> str:
    if not 0 <= whole_days <= MAX_SINCE_DAYS:
        return ""
    return ", last " + {0: "today", 1: "yesterday"}.get(whole_days, f"{whole_days} days ago")
