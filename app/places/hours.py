"""Which days are working days: the holidays of regions."""

from datetime import date
from functools import lru_cache

from app.errors import BadInput

MOSTLY_CATHOLIC = frozenset({"DE-BY"})
"""Regions most of whose municipalities keep the Catholic holidays (Munich does, Nuremberg does not): a promise that
is a day late is better than one that fails."""


class UnknownRegion(BadInput):
    """No holiday calendar is known for a region; the message names those of its country."""


def check_region(region: str) -> None:
    """Returns when there is a holiday calendar for the region, as of `DE` or `DE-BY`.

    Raises UnknownRegion. The first call of a process loads the holiday library: 0.3 s.
    """
    import holidays  # deferred: costs those that need no calendar 0.15 s, and the first calendar as much again

    country, _, subdivision = region.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise UnknownRegion(
            f"no holiday calendar for region {region!r}: write the country's two letters of ISO 3166, as in DE or DE-BY"
        )
    if region != country and subdivision not in known[country]:
        regions = ", ".join([country, *(f"{country}-{part}" for part in known[country])])
        raise UnknownRegion(f"no holiday calendar for region {region!r}: write one of {regions}")


@lru_cache(maxsize=1024)
def _holidays_in(region: str, year: int) -> frozenset[date]:
    """The holidays of a region in one year; up to ten milliseconds when not in the cache."""
    check_region(region)
    import holidays  # deferred: see check_region

    country, _, subdivision = region.partition("-")
    categories = (holidays.PUBLIC, holidays.CATHOLIC) if region in MOSTLY_CATHOLIC else (holidays.PUBLIC,)
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year, categories=categories))


def is_holiday(region: str | None, day: date) -> bool:
    """True on holidays of the region; without a region there are none. Raises UnknownRegion."""
    return region is not None and day in _holidays_in(region, day.year)


def is_working_day(region: str | None, day: date) -> bool:
    """True from Monday to Friday, except on holidays of the region. Raises UnknownRegion."""
    return day.weekday() < 5 and not is_holiday(region, day)
