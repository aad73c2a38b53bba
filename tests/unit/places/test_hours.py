"""Working days against calendars worked out by hand."""

from datetime import date, timedelta

import pytest

from app.errors import BadInput
from app.places.hours import check_region, is_working_day

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
    tuesday = date(2028, 8, 15)
    assert [is_working_day(region, tuesday) for region in ("DE-BY", "DE-BE", "DE")] == [False, True, True]


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
