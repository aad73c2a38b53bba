"""How often a customer buys something, in days and in words: what slates and the replenishment answer go by."""

from functools import lru_cache
from math import ceil

import numpy as np

from app.decision.customer.context import DAY_S, Context
from app.domain import Degraded, Floats, Ints, Reason
from app.model.replenishment import RebuyModel

MIN_COUNT = 3
MIN_SPAN_DAYS = 2
MIN_GAP_DAYS = 1 / 48
"""Two baskets of one visit make no habit of minutes."""
TINY = 1e-9
"""Keeps the logarithm finite where there is no gap; it then counts for nothing."""
MAX_SINCE_DAYS = 3650
"""Longer ago is day 0, which stands for unknown times."""


def likely_interval(count: Floats, span_days: Floats, log_usual: Floats | float) -> Floats:
    """Days between two purchases as the customer's own say, the usual interval counted in once: its geometric mean.

    `count` purchases over `span_days`; the usual interval comes as its logarithm.
    """
    gaps = np.maximum(count - 1, 0)
    own = np.log(np.maximum(span_days, MIN_GAP_DAYS * gaps) / np.maximum(gaps, 1) + TINY)
    interval: Floats = np.exp((gaps * own + log_usual) / (gaps + 1))
    return interval


def usual_interval(model: RebuyModel, items: Ints) -> Floats:
    """The logarithm of the days after which all customers buy each product again."""
    usual: Floats = model.habits[np.minimum(items, len(model.habits) - 1), 0]
    return usual


def interval_reasons(context: Context, *, count: Floats, first_day: Floats, last_day: Floats) -> list[Reason]:
    """Per row how often it is bought, from three purchases over two days on, and when it last was (days since 1970).

    Behind stale features there may be later purchases: then nothing is said of the last one.
    """
    is_stale = Degraded.FEATURES_STALE in context.degraded
    today = context.query.now_at.timestamp() // DAY_S
    return [
        interval_reason(_interval_days(times, last - first), -1.0 if is_stale else today - last)
        for times, first, last in zip(count.tolist(), first_day.tolist(), last_day.tolist(), strict=True)
    ]


def _interval_days(count: float, span_days: float) -> int:
    """The mean purchase interval in whole days, at least 1; 0 = too few purchases, or too close together, for one."""
    return max(round(span_days / (count - 1)), 1) if count >= MIN_COUNT and span_days >= MIN_SPAN_DAYS else 0


def interval_reason(interval_days: int, since_days: float) -> Reason:
    """Words for a mean interval in whole days, 0 = unknown, and for days since the last purchase, < 0 = unknown."""
    # A purchase of today lies after the day's beginning: -0.3 days ago is today.
    return Reason("buy_again", _text(interval_days, ceil(since_days)))


# Words are made once: a decision has up to a hundred of them, and customers share most.
@lru_cache(16_384)
def _text(interval_days: int, since_days: int) -> str:
    last = _last(since_days) if 0 <= since_days <= MAX_SINCE_DAYS else None
    if not interval_days:
        return "You bought this before" if last is None else f"You last bought this {last}"
    often = "You buy this about every day" if interval_days == 1 else f"You buy this about every {interval_days} days"
    return often if last is None else f"{often}, last {last}"


def _last(since_days: int) -> str:
    return {0: "today", 1: "yesterday"}.get(since_days, f"{since_days} days ago")
