"""Words for how often a customer buys something: what slates and the replenishment answer say of repeat purchases."""

from functools import lru_cache

from app.domain import Reason

SINCE_UNKNOWN = -1
MIN_RHYTHM_COUNT = 3
MIN_RHYTHM_SPAN_DAYS = 2


def whole_gap(count: float, gap_days: float) -> int:
    """The mean gap in whole days, at least 1; 0 where three purchases over two days are not reached."""
    if count < MIN_RHYTHM_COUNT or gap_days * (count - 1) < MIN_RHYTHM_SPAN_DAYS:
        return 0
    return max(round(gap_days), 1)


def days_since(today: int, last_day: float) -> int:
    """Whole days from a purchase's day to `today`, both since 1970; SINCE_UNKNOWN without timestamps (day 0)."""
    return max(today - int(last_day), 0) if last_day > 0 else SINCE_UNKNOWN


@lru_cache(maxsize=1 << 14)
def rhythm(gap_days: int, since_days: int) -> Reason:
    """Words for a mean gap (0 = too few purchases to tell) and whole days since the last one (-1 = not known)."""
    if gap_days == 0:
        return Reason("buy_again", f"You bought this before{_last(since_days)}")
    usually = "Usually every day" if gap_days == 1 else f"Usually every {gap_days} days"
    return Reason("buy_again", usually + _last(since_days))


def _last(since_days: int) -> str:
    if since_days < 0:
        return ""
    return ", last " + {0: "today", 1: "yesterday"}.get(since_days, f"{since_days} days ago")
