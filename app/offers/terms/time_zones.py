"""The days of stores and campaigns, each in its time zone."""

from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime

from app.bounds import in_bounds


def _checked(instant: datetime) -> datetime:
    in_bounds(instant)
    return instant


PlannedInstant = Annotated[AwareDatetime, AfterValidator(_checked)]
"""An instant within the bounds of all doors, with the offset that it was given."""


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
