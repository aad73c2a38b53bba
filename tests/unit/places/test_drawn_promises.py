"""Promises of drawn stores: pickup against a count of minutes, and each promise until it expires."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest

from app.places.promises import promise, promise_and_expiry
from app.places.stores import DeliverySlot, Fulfilment, OpeningHours, Store, Way
from tests.unit.places.reference import ShownMinute, at, drawn_hours, shown_minutes, shows_open, store

BERLIN = "Europe/Berlin"
WINDOWS = [
    (BERLIN, "DE-BY", datetime(2026, 10, 20, 22, tzinfo=UTC), "2026-11-01"),
    (BERLIN, "DE-BE", datetime(2027, 3, 23, 23, tzinfo=UTC), "2027-03-26 2027-03-29"),
    ("America/Los_Angeles", "US-CA", datetime(2027, 3, 9, 8, tzinfo=UTC), ""),
]
"""Zone, region, a midnight some days before its clock is changed, and the holidays of twelve days."""


def drawn_clock(random: Random) -> time | None:
    """None, a time of the night, or any time."""
    minute = random.choice((None, random.randrange(240), random.randrange(1440)))
    return None if minute is None else time(*divmod(minute, 60))


def ready_by_counting(
    minutes: Sequence[ShownMinute], opens: Sequence[bool], *, ordered: int, served: Fulfilment
) -> int:
    """The number of the minute in which an order of minute `ordered` is ready; as many as there are if in none."""
    order, begins = minutes[ordered], ordered
    if served.cut_off is not None and order.clock >= served.cut_off:
        begins = next((number for number, one in enumerate(minutes) if one.day > order.day), len(minutes))
    open_minutes = [number for number in range(begins, len(minutes)) if opens[number]]
    return open_minutes[served.lead_minutes] if served.lead_minutes < len(open_minutes) else len(minutes)


@pytest.mark.parametrize(("zone", "region", "begins_at", "free"), WINDOWS)
def test_pickup_is_ready_when_a_count_of_minutes_says(zone: str, region: str, begins_at: datetime, free: str) -> None:
    random = Random(20261130)
    minutes = shown_minutes(zone, begins_at, days=12)
    holidays = frozenset(date.fromisoformat(day) for day in free.split())
    compared = 0
    for _ in range(20):
        hours = drawn_hours(random, days=sorted({minute.day for minute in minutes}))
        served = Fulfilment(lead_minutes=random.choice((0, random.randrange(3000))), cut_off=drawn_clock(random))
        shop = store(region, time_zone=zone, hours=hours, ways={Way.PICKUP: served})
        opens = [shows_open(minute, hours, holidays=holidays) for minute in minutes]
        for ordered in random.sample(range(len(minutes) * 2 // 3), 5):
            ready = ready_by_counting(minutes, opens, ordered=ordered, served=served)
            found = promise(shop, Way.PICKUP, now=minutes[ordered].begins_at)
            if ready < len(minutes):
                assert found is not None
                assert found.available_from_at == minutes[ready].begins_at
                compared += 1
            else:
                assert found is None or found.available_from_at > minutes[-1].begins_at
    assert compared > 50


def drawn_store(random: Random, begins_at: datetime, *, zone: str, region: str) -> Store:
    """A store that serves every way, its slots in the hours and days after an instant."""
    days = [begins_at.date() + timedelta(days=number) for number in range(12)]
    hours = random.choice((None, OpeningHours([()] * 7), *[drawn_hours(random, days=days) for _ in range(6)]))
    starts = [begins_at + timedelta(seconds=random.randrange(12 * 86_400)) for _ in range(20)]
    slots = [
        DeliverySlot(str(number), starts_at, starts_at + timedelta(hours=2),
                     starts_at - timedelta(seconds=random.randrange(-9_000, 86_400)), random.randrange(3))
        for number, starts_at in enumerate(starts)
    ]  # fmt: skip
    served = Fulfilment(
        random.choice((0, random.randrange(3000), 50_000)), random.randrange(4), drawn_clock(random), slots=slots
    )
    return store(region, time_zone=zone, hours=hours, ways=dict.fromkeys(Way, served))


@pytest.mark.parametrize(("zone", "region", "begins_at", "free"), WINDOWS)
@pytest.mark.parametrize("way", Way)
def test_promise_stays_the_same_until_it_expires(
    way: Way, zone: str, region: str, begins_at: datetime, free: str
) -> None:
    random = Random(20261130)
    changed = 0
    for _ in range(60):
        shop = drawn_store(random, begins_at, zone=zone, region=region)
        now = begins_at + timedelta(microseconds=random.randrange(9 * 86_400 * 10**6))
        found, expires_at = promise_and_expiry(shop, way, now=now)
        assert found == promise(shop, way, now=now)
        assert now < expires_at
        for part in (*(random.random() for _ in range(6)), 0.999999):
            later = now + (expires_at - now) * part
            assert promise(shop, way, now=later) == found, f"{later} of {now} to {expires_at}"
        changed += promise(shop, way, now=expires_at) != found
    assert changed > 5, "an expiry is where something may change, not just soon"


@pytest.mark.parametrize(
    ("way", "now", "expires"),
    [
        (Way.IN_STORE, "2026-11-30T12:00:30", "2026-11-30T12:01"),
        (Way.IN_STORE, "2026-11-30T07:00", "2026-11-30T09:00"),
        (Way.IN_STORE, "2026-11-30T20:00", "2026-12-01T00:00"),
        (Way.PICKUP, "2026-11-30T12:00", "2026-11-30T12:01"),
        (Way.PICKUP, "2026-11-30T16:00", "2026-12-01T00:00"),
        (Way.SHIP, "2026-11-30T12:00", "2026-11-30T16:00"),
        (Way.SHIP, "2026-11-30T16:00", "2026-12-01T00:00"),
        (Way.SHIP, "2026-10-25T00:00", "2026-10-25T16:00"),
        (Way.DELIVER, "2026-11-30T12:00", "2026-12-01T00:00"),
    ],
)
def test_promise_expires_at_the_next_minute_opening_cut_off_or_midnight(way: Way, now: str, expires: str) -> None:
    shop = store(ways=dict.fromkeys(Way, Fulfilment(lead_minutes=60, lead_working_days=1, cut_off=time(16))))
    assert promise_and_expiry(shop, way, now=at(BERLIN, now))[1] == at(BERLIN, expires)


def test_promise_of_an_open_store_expires_as_it_closes_within_a_minute() -> None:
    shop = store(None, hours=OpeningHours([((time(9), time(12, 0, 30)),)] * 7), ways={Way.IN_STORE: Fulfilment()})
    now = at(BERLIN, "2026-11-30T12:00:10")
    assert promise_and_expiry(shop, Way.IN_STORE, now=now)[1] == at(BERLIN, "2026-11-30T12:00:30")
