"""The periods that limits count in: days, weeks and months of a campaign's time zone."""

from datetime import datetime
from typing import Literal

from app.offers.terms.time_zones import local_date


def period_key(period: Literal["day", "week", "month", "total"], at: datetime, time_zone: str) -> str:
    """The name of the period the instant is in there: "2026-11-22", "2026-W47" (ISO 8601), "2026-11", "total"."""
    if period == "total":
        return period
    day = local_date(at, time_zone)
    if period == "day":
        return day.isoformat()
    if period == "month":
        return f"{day:%Y-%m}"
    # ISO's own year: days around New Year may be in a week of the other one.
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"
