"""Stores for tests, and their hours minute by minute: slow, and too plain to be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, groupby
from random import Random
from zoneinfo import ZoneInfo

from app.places.stores import Fulfilment, Opening, OpeningHours, Store, StoreKind, Way

MINUTE = timedelta(minutes=1)
NINE_TO_EIGHT = ((time(9), time(20)),)
SHOP = OpeningHours((*[NINE_TO_EIGHT] * 6, ()))
"""Nine to eight, but not on Sundays."""


def store(
    region: str | None = "DE-BE", *, time_zone: str = "Europe/Berlin", hours: OpeningHours | None = SHOP,
    kind: StoreKind = StoreKind.STORE, ways: Mapping[Way, Fulfilment] | None = None,
) -> Store:  # fmt: skip
    return Store("one", kind=kind, time_zone=time_zone, holiday_region=region, hours=hours, ways=ways or {})


def at(zone: str, text: str) -> datetime:
    """The instant at which a clock of the zone shows a text in ISO format."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class ShownMinute:
    """A minute, the date that a zone's calendar shows in it, and the latest time that its clock showed that day."""

    begins_at: datetime
    day: date
    clock: time


def shown_minutes(time_zone: str, begins_at: datetime, *, days: int) -> Sequence[ShownMinute]:
    """The minutes from an instant on, in a zone."""
    zone = ZoneInfo(time_zone)
    minutes = [begins_at + number * MINUTE for number in range(days * 24 * 60)]
    shown = [(minute, minute.astimezone(zone)) for minute in minutes]
    return [
        ShownMinute(minute, day, clock)
        for day, pairs in groupby(shown, lambda pair: pair[1].date())
        for group in [list(pairs)]
        for (minute, _), clock in zip(group, accumulate((local.time() for _, local in group), max), strict=True)
    ]


def shows_open(minute: ShownMinute, hours: OpeningHours, *, holidays: frozenset[date]) -> bool:
    """True when an opening of the day holds what the clock shows."""
    usual = () if minute.day in holidays else hours.weekly[minute.day.weekday()]
    openings = hours.exceptions.get(minute.day, usual)
    return any(opens <= minute.clock and (closes == time.min or minute.clock < closes) for opens, closes in openings)


def drawn_hours(random: Random, *, days: Sequence[date]) -> OpeningHours:
    """Hours of up to three openings a day, and as many exceptions."""
    return OpeningHours(
        [_drawn_openings(random) for _ in range(7)],
        {random.choice(days): _drawn_openings(random) for _ in range(3)},
    )


def _drawn_openings(random: Random) -> Sequence[Opening]:
    """Ascending openings, early ones as likely as all others; some until midnight."""
    latest = random.choice((240, 1440))
    bounds = sorted(random.sample(range(latest + 1), 2 * random.randrange(4)))
    times = [time(*divmod(bound % 1440, 60)) for bound in bounds]
    return list(zip(times[::2], times[1::2], strict=True))
