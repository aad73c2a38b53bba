"""When a store is open and which days are working days: its local clock and holidays as instants and days.

A clock that is put forward shows what it skips as over: what opens at 02:30 opens when it jumps from 02:00 to 03:00.
A clock that is put back changes nothing: what closed at 02:30 stays closed, what opened at 02:30 stays open.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.errors import BadInput
from app.places.stores import Opening, Store

HORIZON_DAYS = 60
"""Openings are looked for on the local day in question and so many after it."""
ALWAYS: Sequence[Opening] = ((time.min, time.min),)
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


def prepare_regions(regions: Iterable[str], *, year: int) -> None:
    """Makes the calendars of this year and the next ready, so that no question waits for them: 0.3 s for the first.

    Raises UnknownRegion.
    """
    for region in sorted(set(regions)):
        for each in (year, year + 1):
            _holidays_in(region, each)


def is_holiday(region: str | None, day: date) -> bool:
    """True on holidays of the region; without a region there are none. Raises UnknownRegion."""
    return region is not None and day in _holidays_in(region, day.year)


def is_working_day(region: str | None, day: date) -> bool:
    """True from Monday to Friday, except on holidays of the region. Raises UnknownRegion."""
    return day.weekday() < 5 and not is_holiday(region, day)


def local_day(store: Store, at: datetime) -> date:
    """The date that the store's calendar shows at an instant."""
    return at.astimezone(ZoneInfo(store.time_zone)).date()


def local_instant(store: Store, day: date, *, clock: time = time.min) -> datetime:
    """The first instant (UTC) of a local day at which the store's clock shows `clock` or later; midnight by default."""
    zone = ZoneInfo(store.time_zone)
    first, second = (datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    # The clock skips this time: of the seconds that surround the jump, the first with the later offset.
    jump_s = range(int((first - second).total_seconds()))
    offset = (first.astimezone(zone).utcoffset() or timedelta()).total_seconds()
    return second + timedelta(seconds=bisect_left(jump_s, offset, key=lambda s: _offset_s(zone, second, s)))


def _offset_s(zone: ZoneInfo, at: datetime, later_s: int) -> float:
    return ((at + timedelta(seconds=later_s)).astimezone(zone).utcoffset() or timedelta()).total_seconds()


def openings(store: Store, at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When the store opens and closes (UTC), ascending, until HORIZON_DAYS after `at`; begins with `at` if it is open.

    Raises UnknownRegion.
    """
    today = local_day(store, at)
    for day in (today + timedelta(days=ahead) for ahead in range(HORIZON_DAYS + 1)):
        for opens, closes in _openings_of_day(store, day):
            opens_at = local_instant(store, day, clock=opens)
            closes_at = local_instant(store, day, clock=closes) if closes > time.min else _midnight_after(store, day)
            if max(opens_at, at) < closes_at:
                yield max(opens_at, at), closes_at


def _openings_of_day(store: Store, day: date) -> Sequence[Opening]:
    """The local openings of one day."""
    if store.hours is None:
        return ALWAYS
    if (exception := store.hours.exceptions.get(day)) is not None:
        return exception
    return () if is_holiday(store.holiday_region, day) else store.hours.weekly[day.weekday()]


def _midnight_after(store: Store, day: date) -> datetime:
    return local_instant(store, day + timedelta(days=1))


def is_open(store: Store, at: datetime) -> bool:
    """True when the store is open at an instant; at the instant of closing it is not. Raises UnknownRegion."""
    return opening_at_or_after(store, at) == at


def opening_at_or_after(store: Store, at: datetime) -> datetime | None:
    """The first instant from `at` on at which the store is open; None when that is not within HORIZON_DAYS.

    Raises UnknownRegion.
    """
    return open_after(store, at, minutes=0)


def open_after(store: Store, at: datetime, *, minutes: int) -> datetime | None:
    """The first instant at which the store is open and was for `minutes` since `at`; None: not within HORIZON_DAYS.

    Work that is done as the store closes is therefore ready when it opens again. Raises UnknownRegion.
    """
    left = timedelta(minutes=minutes)
    for opens_at, closes_at in openings(store, at):
        if left < closes_at - opens_at:
            return opens_at + left
        left -= closes_at - opens_at
    return None
