"""The days of stores and campaigns, each in its time zone."""

from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime

FIRST_YEAR, LAST_YEAR = 1970, 9000


def _on_the_calendar(instant: datetime) -> datetime:
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(f"Input should lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return instant


PlannedInstant = Annotated[AwareDatetime, AfterValidator(_on_the_calendar)]
"""An instant that no time zone, and no days added to it, lead off the calendar."""


def is_zone(name: str) -> bool:
    """True for an IANA name, as Europe/Berlin."""
    try:
        ZoneInfo(name)
    # ZoneInfo reads a file of that name: a folder such as "Europe" is an OSError, a path that leads out a ValueError.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def local_date(at: datetime, zone: str) -> date:
    """The day that it is there at this instant."""
    return at.astimezone(ZoneInfo(zone)).date()


def day_start(day: date, zone: str) -> datetime:
    """The first instant of that day there, in UTC; the day before ends just then."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)
