"""Words for how often a customer buys something: what slates and the replenishment answer say of repeat purchases."""

from functools import lru_cache
from math import ceil

import numpy as np

from app.decision.context import DAY_S, Context
from app.domain import Degraded, Floats, Reason

MIN_COUNT = 3
MIN_SPAN_DAYS = 2
MAX_SINCE_DAYS = 3650
"""Longer ago is day 0, which stands for unknown times."""


def rhythms(context: Context, *, count: Floats, first_day: Floats, last_day: Floats) -> list[Reason]:
    """Per row how often it is bought, from three purchases over two days on, and when it last was (days since 1970).

    Behind stale features there may be later purchases: then nothing is said of the last one.
    """
    span_days = last_day - first_day
    gap_days = np.maximum(np.rint(span_days / np.maximum(count - 1, 1)), 1)
    gap_days[(count < MIN_COUNT) | (span_days < MIN_SPAN_DAYS)] = 0
    if Degraded.FEATURES_STALE in context.degraded:
        return [rhythm(gap, -1.0) for gap in gap_days.tolist()]
    today = np.float32(context.query.now_at.timestamp() // DAY_S)
    return list(map(rhythm, gap_days.tolist(), (today - last_day).tolist()))


@lru_cache(maxsize=1 << 14)
def rhythm(gap_days: float, since_days: float) -> Reason:
    """Words for a mean gap in whole days, 0 = too few purchases to tell, and for days since the last, < 0 = unknown."""
    if gap_days == 0:
        return Reason("buy_again", f"You bought this before{_last(since_days)}")
    usually = "Usually every day" if gap_days == 1 else f"Usually every {gap_days:.0f} days"
    return Reason("buy_again", usually + _last(since_days))


def _last(since_days: float) -> str:
    # A purchase of today lies after the day's beginning: -0.3 days ago is today.
    whole_days = ceil(since_days)
    if not 0 <= whole_days <= MAX_SINCE_DAYS:
        return ""
    return ", last " + {0: "today", 1: "yesterday"}.get(whole_days, f"{whole_days} days ago")
