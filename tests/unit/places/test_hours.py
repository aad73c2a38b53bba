"""Opening hours against clocks that jump, and working days against calendars worked out by hand."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pytest

from app.errors import BadInput
from app.places.hours import check_region, is_open, is_working_day, open_after, opening_at_or_after
from app.places.stores import OpeningHours
from tests.unit.places.reference import SHOP, at, drawn_hours, shown_minutes, shows_open, store

BERLIN, CALIFORNIA = "Europe/Berlin", "America/Los_Angeles"

FREE_WEEKDAYS = {
    # Easter is on 2026-04-05 and 2027-03-28.
    "DE-BY": """2026-01-01 2026-01-06 2026-04-03 2026-04-06 2026-05-01 2026-05-14 2026-05-25 2026-06-04 2026-12-25
                2027-01-01 2027-01-06 2027-03-26 2027-03-29 2027-05-06 2027-05-17 2027-05-27 2027-11-01""",
    "DE-BE": """2026-01-01 2026-04-03 2026-04-06 2026-05-01 2026-05-14 2026-05-25 2026-12-25
                2027-01-01 2027-03-08 2027-03-26 2027-03-29 2027-05-06 2027-05-17""",
    # What falls on a Saturday is kept on Friday, on a Sunday on Monday; the last is New Year's Day of 2028. Diwali is
    # on 2026-11-08, a Sunday, and 2027-10-29.
    "US-CA": """2026-01-01 2026-01-19 2026-02-16 2026-03-31 2026-05-25 2026-06-19 2026-07-03 2026-09-07 2026-11-11
                2026-11-26 2026-11-27 2026-12-25
                2027-01-01 2027-01-18 2027-02-15 2027-03-31 2027-05-31 2027-06-18 2027-07-05 2027-09-06 2027-10-29
                2027-11-11 2027-11-25 2027-11-26 2027-12-24 2027-12-31""",
}
TWO_YEARS = [date(2026, 1, 1) + timedelta(days=number) for number in range(730)]


@pytest.mark.parametrize("region", FREE_WEEKDAYS)
def test_working_days_of_two_years_are_those_of_the_calendar_worked_out_by_hand(region: str) -> None:
    free = {date.fromisoformat(day) for day in FREE_WEEKDAYS[region].split()}
    assert {day for day in TWO_YEARS if day.weekday() < 5 and not is_working_day(region, day)} == free
    assert not [day for day in TWO_YEARS if day.weekday() >= 5 and is_working_day(region, day)]


def test_assumption_is_a_holiday_in_bavaria() -> None:
    tuesday, saturday = date(2028, 8, 15), at(BERLIN, "2026-08-15T12:00")
    assert [is_working_day(region, tuesday) for region in ("DE-BY", "DE-BE", "DE")] == [False, True, True]
    assert [is_open(store(region), saturday) for region in ("DE-BY", "DE-BE")] == [False, True]


def test_without_a_region_every_weekday_is_a_working_day() -> None:
    assert is_working_day(None, date(2026, 12, 25))
    assert not is_working_day(None, date(2026, 12, 26))


@pytest.mark.parametrize(
    ("region", "remedy"),
    [("XX", "DE or DE-BY"), ("de-by", "DE or DE-BY"), ("", "DE or DE-BY"), ("HolidayBase", "DE or DE-BY"),
     ("DE-ZZ", "DE-BW, DE-BY"), ("DE-", "one of DE, DE-BB"), ("DE-Bayern", "DE-BY"), ("SG-1", "one of SG")],
)  # fmt: skip
def test_unknown_region_is_refused_with_its_name_and_a_remedy(region: str, remedy: str) -> None:
    for question in (check_region, lambda region: is_working_day(region, date(2026, 1, 1))):
        with pytest.raises(BadInput, match=f"{region!r}.*{remedy}"):
            question(region)


@pytest.mark.parametrize("region", ["DE", "DE-BY", "US-CA", "FR", "CH-ZH"])
def test_known_region_passes(region: str) -> None:
    check_region(region)


def test_store_is_open_from_its_opening_until_it_closes() -> None:
    clocks = ("08:59:59", "09:00:00", "19:59:59", "20:00:00")
    assert [is_open(store(), at(BERLIN, f"2026-11-30T{clock}")) for clock in clocks] == [False, True, True, False]


def test_closed_store_opens_after_night_sunday_and_holidays() -> None:
    assert opening_at_or_after(store(), at(BERLIN, "2026-11-30T20:00")) == at(BERLIN, "2026-12-01T09:00")
    # Good Friday; Easter Saturday is open, Easter Monday is not.
    assert opening_at_or_after(store(), at(BERLIN, "2027-03-25T20:00")) == at(BERLIN, "2027-03-27T09:00")
    assert opening_at_or_after(store(), at(BERLIN, "2027-03-27T20:00")) == at(BERLIN, "2027-03-30T09:00")
    now = at(BERLIN, "2026-11-30T12:34:56")
    assert opening_at_or_after(store(), now) == now


def test_exception_opens_a_holiday_and_closes_a_weekday() -> None:
    hours = replace(SHOP, exceptions={date(2026, 12, 26): ((time(11), time(15)),), date(2026, 12, 28): ()})
    shop = store(hours=hours)
    assert opening_at_or_after(shop, at(BERLIN, "2026-12-24T20:00")) == at(BERLIN, "2026-12-26T11:00")
    assert opening_at_or_after(shop, at(BERLIN, "2026-12-26T15:00")) == at(BERLIN, "2026-12-29T09:00")


def test_opening_until_midnight_ends_with_the_day() -> None:
    shop = store(None, hours=OpeningHours([((time(18), time()),)] * 7))
    clocks = ("2026-11-30T23:59:59", "2026-12-01T00:00:00", "2026-12-01T18:00:00")
    assert [is_open(shop, at(BERLIN, clock)) for clock in clocks] == [True, False, True]


def test_store_without_hours_is_open_on_holidays_too() -> None:
    assert is_open(store(hours=None), at(BERLIN, "2026-12-25T03:00"))


def test_opening_is_looked_for_on_sixty_days() -> None:
    def opening_after(days: int) -> datetime | None:
        day = date(2026, 11, 30) + timedelta(days=days)
        hours = OpeningHours([()] * 7, {day: ((time(9), time(10)),)})
        return opening_at_or_after(store(hours=hours), at(BERLIN, "2026-11-30T09:00"))

    assert opening_after(60) == at(BERLIN, "2027-01-29T09:00")
    assert opening_after(61) is None


NIGHT = ((time(2, 30), time(4)),)
"""Opens in the hour that European clocks skip and repeat."""


def test_store_that_would_open_in_the_skipped_hour_opens_as_it_is_skipped() -> None:
    shop = store(None, hours=OpeningHours([NIGHT] * 7))
    assert opening_at_or_after(shop, datetime(2027, 3, 28, tzinfo=UTC)) == datetime(2027, 3, 28, 1, tzinfo=UTC)
    american = store(None, time_zone=CALIFORNIA, hours=OpeningHours([NIGHT] * 7))
    assert opening_at_or_after(american, datetime(2027, 3, 14, 9, tzinfo=UTC)) == datetime(2027, 3, 14, 10, tzinfo=UTC)


def test_opening_within_the_skipped_hour_does_not_take_place() -> None:
    shop = store(None, hours=OpeningHours([((time(2, 15), time(2, 45)),)] * 7))
    assert opening_at_or_after(shop, at(BERLIN, "2027-03-28T00:00")) == at(BERLIN, "2027-03-29T02:15")


def test_clock_that_is_put_back_neither_closes_nor_opens_a_store() -> None:
    opened, closed = OpeningHours([NIGHT] * 7), OpeningHours([((time(), time(2, 30)),)] * 7)
    # The clock shows 02:00 to 03:00 from midnight (UTC) to one, and again until two.
    instants = [datetime(2026, 10, 25, hour, minute, tzinfo=UTC) for hour in (0, 1) for minute in (0, 29, 30)]
    assert [is_open(store(None, hours=opened), instant) for instant in instants] == [False] * 2 + [True] * 4
    assert [is_open(store(None, hours=closed), instant) for instant in instants] == [True] * 2 + [False] * 4


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 4), ("2026-10-26", 3), ("2027-03-28", 2)])
def test_night_has_the_hours_that_pass_and_not_those_that_the_clock_shows(day: str, hours: int) -> None:
    shop = store(None, hours=OpeningHours([((time(1), time(4)), (time(9), time(10)))] * 7))
    midnight = at(BERLIN, f"{day}T00:00")
    assert open_after(shop, midnight, minutes=60 * hours - 1) == at(BERLIN, f"{day}T03:59")
    assert open_after(shop, midnight, minutes=60 * hours) == at(BERLIN, f"{day}T09:00")


WINDOWS = [
    (BERLIN, "DE-BY", datetime(2026, 10, 20, 22, tzinfo=UTC), "2026-11-01"),
    (BERLIN, "DE-BY", datetime(2027, 3, 23, 23, tzinfo=UTC), "2027-03-26 2027-03-29"),
    (CALIFORNIA, "US-CA", datetime(2026, 10, 28, 7, tzinfo=UTC), "2026-11-08"),
    (CALIFORNIA, "US-CA", datetime(2027, 3, 11, 8, tzinfo=UTC), ""),
    # Half an hour; an hour that ends the day; midnight itself.
    ("Australia/Lord_Howe", None, datetime(2026, 9, 30, 13, tzinfo=UTC), ""),
    ("America/Nuuk", None, datetime(2027, 3, 25, 2, tzinfo=UTC), ""),
    ("America/Havana", None, datetime(2027, 3, 11, 5, tzinfo=UTC), ""),
    ("America/Havana", None, datetime(2026, 10, 28, 4, tzinfo=UTC), ""),
]
"""Zone, region, a midnight some days before its clock is changed, and the holidays of twelve days."""


@pytest.mark.parametrize(("zone", "region", "begins_at", "free"), WINDOWS)
def test_openings_are_those_found_minute_by_minute(
    zone: str, region: str | None, begins_at: datetime, free: str
) -> None:
    random = Random(20261130)
    minutes = shown_minutes(zone, begins_at, days=12)
    holidays = frozenset(date.fromisoformat(day) for day in free.split())
    for _ in range(5):
        hours = drawn_hours(random, days=sorted({minute.day for minute in minutes}))
        shop = store(region, time_zone=zone, hours=hours)
        open_at = [one.begins_at for one in minutes if shows_open(one, hours, holidays=holidays)]
        for position in random.sample(range(len(open_at)), min(40, len(open_at))):
            assert open_after(shop, begins_at, minutes=position) == open_at[position]
        for minute in random.sample(minutes, 100):
            expected = next((instant for instant in open_at if instant >= minute.begins_at), None)
            assert is_open(shop, minute.begins_at) == (expected == minute.begins_at)
            if expected is not None:
                assert opening_at_or_after(shop, minute.begins_at) == expected
