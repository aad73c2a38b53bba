"""SIMULATED stores in Ohio for those that a history names: where they are, when they are open, how they serve."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from app.places.simulation.turnover import ONLINE, TIME_ZONE, Turnover, rank_of
from app.places.stores import DeliverySlot, Fulfilment, Opening, OpeningHours, Position, Store, StoreKind, Way

REGION = "US-OH"
CURRENCY = "USD"
TOWNS = (
    (39.20, -84.45, 30),
    (39.76, -84.19, 20),
    (39.98, -82.99, 30),
    (39.33, -82.98, 6),
    (38.75, -82.95, 5),
    (39.33, -82.10, 4),
    (39.45, -81.45, 5),
    (39.94, -82.01, 5),
    (40.10, -80.78, 5),
)
"""Around which the stores lie in the valley of the Ohio: latitude, longitude and how many of them."""
TOWN_KM = 9.0
DEGREE_KM = 111.2

USUAL = ((time(7), time(23)),)
SHORT = ((time(8), time(21)),)
MORNING = ((time(7), time(15)),)
EVENING_BEFORE = ((time(7), time(18)),)
CLOSED: tuple[Opening, ...] = ()
SHORT_SUNDAYS_SHARE = 0.3
YEARS = 2

PICKUP_SHARE = 1 / 3
PICKUP = Fulfilment(lead_minutes=120, cut_off=time(19), radius_km=30.0)
SHIP = Fulfilment(lead_working_days=2, cut_off=time(15))
SHIPPING_STORES, DELIVERING_STORES = 2, 20
DELIVERY_KM = 15.0
SLOT_HOURS = (10, 12, 14, 16, 18)
SLOT_LENGTH = timedelta(hours=2)
ORDERED_BEFORE = timedelta(hours=3)
SLOT_PLACES = 12


def stores_of(turnover: Turnover, rng: np.random.Generator, *, now: datetime) -> tuple[Store, ...]:
    """The stores of the turnover, in its order, the last the warehouse; those that sell more serve in more ways.

    Delivery slots are those of today and tomorrow that can still be ordered.
    """
    ranks = rank_of(turnover.store_daily[:-1])
    positions = _positions(len(ranks), rng)
    has_short_sundays = rng.random(len(ranks)) < SHORT_SUNDAYS_SHARE
    usual, short = (_hours(sunday, now.year) for sunday in (USUAL, SHORT))
    stores = [
        Store(
            store_id,
            name=f"Simulated store {store_id}",
            position=position,
            time_zone=TIME_ZONE,
            holiday_region=REGION,
            hours=short if is_short else usual,
            ways=_ways(rank, len(ranks), rng, now=now),
            currency=CURRENCY,
        )
        for store_id, position, is_short, rank in zip(
            turnover.store_ids, positions, has_short_sundays, ranks.tolist(), strict=False
        )
    ]
    return (*stores, _warehouse())


def _warehouse() -> Store:
    return Store(
        ONLINE,
        kind=StoreKind.WAREHOUSE,
        name="Simulated online warehouse",
        position=Position(39.9, -83.4),
        time_zone=TIME_ZONE,
        holiday_region=REGION,
        ways={Way.SHIP: SHIP},
        currency=CURRENCY,
    )


def _positions(count: int, rng: np.random.Generator) -> list[Position]:
    latitude, longitude, weights = np.array(TOWNS).T
    town = rng.choice(len(TOWNS), count, p=weights / weights.sum())
    north, east = rng.normal(0, TOWN_KM / DEGREE_KM, (2, count))
    latitudes = latitude[town] + north
    longitudes = longitude[town] + east / np.cos(np.radians(latitudes))
    return [Position(*pair) for pair in zip(latitudes.round(5).tolist(), longitudes.round(5).tolist(), strict=True)]


def _ways(rank: int, count: int, rng: np.random.Generator, *, now: datetime) -> Mapping[Way, Fulfilment]:
    """What the store serves that sells most but for `rank` of `count`."""
    ways = {Way.IN_STORE: Fulfilment()}
    if rank < count * PICKUP_SHARE:
        ways[Way.PICKUP] = PICKUP
    if rank < SHIPPING_STORES:
        ways[Way.SHIP] = SHIP
    if rank < DELIVERING_STORES:
        ways[Way.DELIVER] = Fulfilment(radius_km=DELIVERY_KM, slots=tuple(_slots(rng, now=now)))
    return ways


def _slots(rng: np.random.Generator, *, now: datetime) -> Iterator[DeliverySlot]:
    today = now.astimezone(ZoneInfo(TIME_ZONE)).date()
    for day in (today, today + timedelta(days=1)):
        for hour in SLOT_HOURS:
            starts_at = datetime.combine(day, time(hour), ZoneInfo(TIME_ZONE)).astimezone(UTC)
            left = int(rng.integers(SLOT_PLACES + 1))
            if starts_at - ORDERED_BEFORE > now:
                slot_id = f"{day.isoformat()}-{hour}"
                yield DeliverySlot(slot_id, starts_at, starts_at + SLOT_LENGTH, starts_at - ORDERED_BEFORE, left)


def _hours(sunday: Sequence[Opening], year: int) -> OpeningHours:
    """Open on every holiday but Christmas, for which a store of that region would be closed: each is an exception."""
    exceptions: dict[date, Sequence[Opening]] = {}
    for one in range(year, year + YEARS):
        for day in _holidays(one):
            exceptions[day] = sunday if day.weekday() == 6 else USUAL
        exceptions |= {
            date(one, 1, 1): SHORT,
            _weekday(one, 11, weekday=3, number=4): MORNING,
            date(one, 12, 24): EVENING_BEFORE,
            date(one, 12, 25): CLOSED,
        }
    return OpeningHours((*(USUAL,) * 6, sunday), dict(sorted(exceptions.items())))


def _holidays(year: int) -> Iterator[date]:
    """The federal holidays, and the days on which they are observed where they fall on a weekend."""
    yield _weekday(year, 1, weekday=0, number=3)
    yield _weekday(year, 2, weekday=0, number=3)
    yield _weekday(year, 6, weekday=0, number=1) - timedelta(days=7)
    yield _weekday(year, 9, weekday=0, number=1)
    yield _weekday(year, 10, weekday=0, number=2)
    for month, day in ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25)):
        holiday = date(year, month, day)
        yield holiday
        if holiday.weekday() >= 5:
            yield holiday + timedelta(days=1 if holiday.weekday() == 6 else -1)


def _weekday(year: int, month: int, *, weekday: int, number: int) -> date:
    """The first, second ... such day of the week in the month; Monday is 0."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))
