"""Promises of the four ways, by cases worked out by hand on calendars with holidays and clocks that jump."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.places.promises import FulfilmentPromise, promise
from app.places.stores import DeliverySlot, Fulfilment, OpeningHours, Store, StoreKind, Way
from tests.unit.places.reference import at, store

BERLIN, CALIFORNIA = "Europe/Berlin", "America/Los_Angeles"
TWO = time(14)

PARCELS = [
    # Christmas 2026: the 24th is a working day, Friday the 25th is not. Summer time is over: 20:00 is 19:00Z.
    ("DE-BY", "2026-12-23T13:59", 2, "2026-12-28T19:00Z"),
    ("DE-BY", "2026-12-23T14:00", 2, "2026-12-29T19:00Z"),
    ("DE-BE", "2026-12-24T09:00", 0, "2026-12-24T19:00Z"),
    ("DE-BE", "2026-12-24T14:00", 0, "2026-12-28T19:00Z"),
    ("DE-BE", "2026-12-26T10:00", 1, "2026-12-29T19:00Z"),
    ("US-CA", "2026-12-24T13:00", 1, "2026-12-29T04:00Z"),
    # New Year 2027 and Epiphany (Wednesday, in Bavaria alone).
    ("DE-BE", "2026-12-31T15:00", 2, "2027-01-06T19:00Z"),
    ("DE-BY", "2026-12-31T15:00", 2, "2027-01-07T19:00Z"),
    ("DE-BE", "2026-01-05T16:00", 1, "2026-01-07T19:00Z"),
    ("DE-BY", "2026-01-05T16:00", 1, "2026-01-08T19:00Z"),
    # Women's Day 2027 is a Monday, in Berlin alone.
    ("DE-BE", "2027-03-05T16:00", 0, "2027-03-09T19:00Z"),
    ("DE-BY", "2027-03-05T16:00", 0, "2027-03-08T19:00Z"),
    # Easter 2026; no holiday in California.
    ("DE-BE", "2026-04-02T13:59", 1, "2026-04-07T18:00Z"),
    ("DE-BY", "2026-04-02T14:00", 1, "2026-04-08T18:00Z"),
    ("US-CA", "2026-04-02T14:00", 1, "2026-04-07T03:00Z"),
    # Easter 2027, on whose Sunday summer time begins.
    ("DE-BY", "2027-03-25T13:59", 1, "2027-03-30T18:00Z"),
    ("DE-BE", "2027-03-25T14:00", 0, "2027-03-30T18:00Z"),
    ("DE-BE", "2027-03-24T14:00", 0, "2027-03-25T19:00Z"),
    # Corpus Christi, and Assumption on a Tuesday, in Bavaria alone.
    ("DE-BY", "2026-06-03T10:00", 1, "2026-06-05T18:00Z"),
    ("DE-BE", "2026-06-03T10:00", 1, "2026-06-04T18:00Z"),
    ("DE-BY", "2028-08-14T10:00", 1, "2028-08-16T18:00Z"),
    # Christmas 2027 is a Saturday: California rests on Friday, as before New Year's Day of 2028.
    ("DE-BY", "2027-12-24T10:00", 1, "2027-12-27T19:00Z"),
    ("US-CA", "2027-12-24T10:00", 1, "2027-12-29T04:00Z"),
    ("DE-BE", "2027-12-30T18:00", 1, "2028-01-03T19:00Z"),
    ("US-CA", "2027-12-30T18:00", 1, "2028-01-05T04:00Z"),
    # Thanksgiving is a Thursday, and California rests on Friday too.
    ("US-CA", "2026-11-25T13:59", 1, "2026-12-01T04:00Z"),
    ("US-CA", "2026-11-25T14:00", 1, "2026-12-02T04:00Z"),
    ("US-CA", "2027-11-24T09:00", 2, "2027-12-01T04:00Z"),
    # The clock changes on the Sunday in between; then 14:00 in California is 21:00Z instead of 22:00Z.
    ("DE-BE", "2026-10-23T13:00", 1, "2026-10-26T19:00Z"),
    ("DE-BE", "2026-10-23T13:00", 0, "2026-10-23T18:00Z"),
    ("US-CA", "2027-03-12T13:00", 0, "2027-03-13T04:00Z"),
    ("US-CA", "2027-03-12T13:00", 1, "2027-03-16T03:00Z"),
    ("US-CA", "2027-03-15T13:59", 0, "2027-03-16T03:00Z"),
    ("US-CA", "2027-03-15T14:00", 0, "2027-03-17T03:00Z"),
]
"""Region, local time of the order, working days it takes, and when the parcel is there; the cut-off is at two."""

ZONES = {"DE-BY": BERLIN, "DE-BE": BERLIN, "US-CA": CALIFORNIA}


def sender(region: str, lead_working_days: int, *, cut_off: time | None = TWO) -> Store:
    ways = {Way.SHIP: Fulfilment(lead_working_days=lead_working_days, cut_off=cut_off)}
    return store(region, time_zone=ZONES[region], ways=ways, kind=StoreKind.WAREHOUSE)


def promised_at(shop: Store, way: Way, now: datetime) -> datetime | None:
    found = promise(shop, way, now=now)
    return None if found is None else found.available_from_at


@pytest.mark.parametrize(("region", "ordered", "lead", "expected"), PARCELS)
def test_parcel_is_there_on_the_evening_worked_out_by_hand(region: str, ordered: str, lead: int, expected: str) -> None:
    now = at(ZONES[region], ordered)
    assert promised_at(sender(region, lead), Way.SHIP, now) == datetime.fromisoformat(expected)


def calendar_days(local: datetime, lead: int) -> int:
    """The days after which a parcel is there in a shop that adds days."""
    return lead


def calendar_days_after_cut_off(local: datetime, lead: int) -> int:
    """The same in a shop that knows its cut-off."""
    return lead + (local.time() >= TWO)


def weekdays(local: datetime, lead: int) -> int:
    """The same in a shop that knows its cut-off and weekends, but no holiday."""
    days, left = 0, lead + (local.time() >= TWO or local.weekday() >= 5)
    while left:
        days += 1
        left -= (local + timedelta(days=days)).weekday() < 5
    return days


@pytest.mark.parametrize(
    ("days_of", "missed"), [(calendar_days, 29), (calendar_days_after_cut_off, 26), (weekdays, 19)]
)
def test_simpler_arithmetic_misses_these_evenings(days_of: Callable[[datetime, int], int], missed: int) -> None:
    wrong = 0
    for region, ordered, lead, expected in PARCELS:
        local = datetime.fromisoformat(ordered)
        evening = datetime.combine(local + timedelta(days=days_of(local, lead)), time(20), ZoneInfo(ZONES[region]))
        wrong += evening != datetime.fromisoformat(expected)
    assert wrong == missed, f"of {len(PARCELS)}"


def test_order_on_a_working_day_without_cut_off_is_sent_the_same_day() -> None:
    shop = sender("DE-BE", 1, cut_off=None)
    assert promised_at(shop, Way.SHIP, at(BERLIN, "2026-11-30T23:59")) == at(BERLIN, "2026-12-01T20:00")


@pytest.mark.parametrize("cut_off", [None, time(22)])
def test_parcel_of_the_same_day_is_not_promised_for_an_evening_that_is_over(cut_off: time | None) -> None:
    shop = sender("DE-BE", 0, cut_off=cut_off)
    assert promised_at(shop, Way.SHIP, at(BERLIN, "2026-12-24T19:59")) == at(BERLIN, "2026-12-24T20:00")
    assert promised_at(shop, Way.SHIP, at(BERLIN, "2026-12-24T20:00")) == at(BERLIN, "2026-12-28T20:00")


@pytest.mark.parametrize("way", Way)
def test_way_that_a_store_does_not_serve_is_not_promised(way: Way) -> None:
    ways = {other: Fulfilment() for other in Way if other is not way}
    assert promise(store(ways=ways), way, now=at(BERLIN, "2026-11-30T12:00")) is None


def test_open_store_has_it_from_this_minute_on_and_a_closed_one_from_its_next_opening() -> None:
    shop = store(ways={Way.IN_STORE: Fulfilment(lead_minutes=90, cut_off=time(10))})
    assert promise(shop, Way.IN_STORE, now=at(BERLIN, "2026-11-30T12:00:59")) == FulfilmentPromise(
        Way.IN_STORE, at(BERLIN, "2026-11-30T12:00")
    )
    assert promised_at(shop, Way.IN_STORE, at(BERLIN, "2026-12-24T20:00")) == at(BERLIN, "2026-12-28T09:00")
    assert promise(store(hours=OpeningHours([()] * 7)), Way.IN_STORE, now=at(BERLIN, "2026-11-30T12:00")) is None


def test_nobody_enters_a_warehouse() -> None:
    ways = {Way.IN_STORE: Fulfilment(), Way.PICKUP: Fulfilment()}
    warehouse = store(kind=StoreKind.WAREHOUSE, ways=ways)
    now = at(BERLIN, "2026-11-30T12:00")
    assert [promised_at(warehouse, way, now) for way in ways] == [None, now]


PICKUPS = [
    ("DE-BE", "2026-11-30T07:00", 120, None, "2026-11-30T11:00"),
    ("DE-BE", "2026-11-30T10:00", 120, None, "2026-11-30T12:00"),
    ("DE-BE", "2026-11-30T10:00:59", 120, None, "2026-11-30T12:00"),
    ("DE-BE", "2026-11-30T10:00", 0, None, "2026-11-30T10:00"),
    ("DE-BE", "2026-11-30T20:00", 0, None, "2026-12-01T09:00"),
    # Over night; what is ready as the store closes is there when it opens.
    ("DE-BE", "2026-11-30T18:30", 120, None, "2026-12-01T09:30"),
    ("DE-BE", "2026-11-30T18:00", 120, None, "2026-12-01T09:00"),
    ("DE-BE", "2026-11-30T17:59", 120, None, "2026-11-30T19:59"),
    # After the cut-off the next day's opening time counts, not what is left of today's.
    ("DE-BE", "2026-11-30T16:59", 120, time(17), "2026-11-30T18:59"),
    ("DE-BE", "2026-11-30T17:00", 120, time(17), "2026-12-01T11:00"),
    ("DE-BE", "2026-11-30T20:30", 120, time(21), "2026-12-01T11:00"),
    ("DE-BE", "2026-11-28T17:00", 120, time(17), "2026-11-30T11:00"),
    ("DE-BE", "2027-01-05T17:00", 120, time(17), "2027-01-06T11:00"),
    ("DE-BY", "2027-01-05T17:00", 120, time(17), "2027-01-07T11:00"),
    # Christmas 2026: Friday, Saturday and Sunday are closed.
    ("DE-BE", "2026-12-24T19:30", 60, None, "2026-12-28T09:30"),
    # Easter 2027: Good Friday, Easter Sunday (on which summer time begins) and Easter Monday are closed.
    ("DE-BE", "2027-03-25T19:00", 120, None, "2027-03-27T10:00"),
    ("DE-BY", "2027-03-25T19:00", 780, None, "2027-03-30T10:00"),
    ("DE-BE", "2027-03-27T17:00", 60, time(17), "2027-03-30T10:00"),
    # Thanksgiving and the day after it.
    ("US-CA", "2026-11-25T19:30", 60, None, "2026-11-28T09:30"),
    ("US-CA", "2027-11-24T12:00", 30, time(12), "2027-11-27T09:30"),
]
"""Region, local time of the order, minutes it takes, cut-off, and local time from which on it can be taken along."""


@pytest.mark.parametrize(("region", "ordered", "lead", "cut_off", "expected"), PICKUPS)
def test_pickup_is_ready_at_the_time_worked_out_by_hand(
    region: str, ordered: str, lead: int, cut_off: time | None, expected: str
) -> None:
    zone = ZONES[region]
    shop = store(region, time_zone=zone, ways={Way.PICKUP: Fulfilment(lead_minutes=lead, cut_off=cut_off)})
    assert promised_at(shop, Way.PICKUP, at(zone, ordered)) == at(zone, expected)


def test_where_no_hours_are_given_work_goes_on_through_nights_and_holidays() -> None:
    shop = store(hours=None, ways={Way.PICKUP: Fulfilment(lead_minutes=180, cut_off=time(17))})
    assert promised_at(shop, Way.PICKUP, at(BERLIN, "2026-12-25T16:00")) == at(BERLIN, "2026-12-25T19:00")
    assert promised_at(shop, Way.PICKUP, at(BERLIN, "2026-12-25T17:00")) == at(BERLIN, "2026-12-26T03:00")
    # Two nights with one hour more and one less than the clock shows.
    assert promised_at(shop, Way.PICKUP, at(BERLIN, "2026-10-25T01:30")) == at(BERLIN, "2026-10-25T03:30")
    assert promised_at(shop, Way.PICKUP, at(BERLIN, "2027-03-28T01:30")) == at(BERLIN, "2027-03-28T05:30")


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        (BERLIN, "2026-10-24T15:00Z", "2026-10-25T16:00Z"),
        (BERLIN, "2027-03-27T16:00Z", "2027-03-28T15:00Z"),
        (CALIFORNIA, "2027-03-14T01:00Z", "2027-03-15T00:00Z"),
    ],
)
def test_cut_off_follows_the_clock_when_it_changes(zone: str, before: str, after: str) -> None:
    shop = store(None, time_zone=zone, hours=None, ways={Way.PICKUP: Fulfilment(cut_off=time(17))})
    for cut_off_at in map(datetime.fromisoformat, (before, after)):
        last = cut_off_at - timedelta(minutes=1)
        assert promised_at(shop, Way.PICKUP, last) == last
        assert promised_at(shop, Way.PICKUP, cut_off_at) == cut_off_at + timedelta(hours=7)


def test_cut_off_that_the_clock_shows_again_does_not_come_back() -> None:
    shop = store(None, hours=None, ways={Way.PICKUP: Fulfilment(cut_off=time(2, 30))})
    shown_again = datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    assert shown_again.astimezone(ZoneInfo(BERLIN)).time() < time(2, 30)
    assert promised_at(shop, Way.PICKUP, shown_again) == at(BERLIN, "2026-10-26T00:00")


def test_pickup_that_takes_more_than_sixty_days_is_not_promised() -> None:
    shop = store(hours=None, ways={Way.PICKUP: Fulfilment(lead_minutes=61 * 24 * 60)})
    assert promised_at(shop, Way.PICKUP, at(BERLIN, "2026-11-30T00:01")) is None


NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def slot(slot_id: str, hours: float, *, left: int = 1, order_by: float = 1) -> DeliverySlot:
    """Two hours that begin so many hours after noon; orders until an hour after noon."""
    starts_at = NOON + timedelta(hours=hours)
    return DeliverySlot(slot_id, starts_at, starts_at + timedelta(hours=2), NOON + timedelta(hours=order_by), left)


def test_delivery_comes_in_the_earliest_slot_that_still_takes_orders() -> None:
    slots = [
        slot("late", 8), slot("evening", 5), slot("also evening", 5), slot("full", 2, left=0),
        slot("closing", 3, order_by=0), slot("begun", 0, order_by=1),
    ]  # fmt: skip
    shop = store(ways={Way.DELIVER: Fulfilment(slots=slots)})
    assert promise(shop, Way.DELIVER, now=NOON) == FulfilmentPromise(
        Way.DELIVER, NOON + timedelta(hours=5), NOON + timedelta(hours=7), "also evening"
    )
    earlier = promise(shop, Way.DELIVER, now=NOON - timedelta(microseconds=1))
    assert earlier is not None
    assert earlier.slot_id == "begun"
    assert promise(shop, Way.DELIVER, now=NOON + timedelta(hours=1)) is None
