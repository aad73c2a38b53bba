"""The days of stores and campaigns, each in its time zone."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def is_zone(name: str) -> bool:
    """True for an IANA name, as Europe/Berlin."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def local_date(at: datetime, zone: str) -> date:
    """The day that it is there at this instant."""
    return at.astimezone(ZoneInfo(zone)).date()


def day_start(day: date, zone: str) -> datetime:
    """The first instant of that day there, in UTC; the day before ends just then."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)
