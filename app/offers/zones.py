"""Time zones of stores and campaigns, and the days in them."""

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("Input should be a time zone such as Europe/Berlin") from None
    return name


TimeZone = Annotated[str, AfterValidator(_known)]


def local_date(at: datetime, zone: str) -> date:
    """The day that it is there at this instant."""
    return at.astimezone(ZoneInfo(zone)).date()
