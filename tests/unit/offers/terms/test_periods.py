"""Limit periods in the campaign's time zone, over the changes of the clock."""

from datetime import UTC, datetime

import pytest

from app.offers.terms.periods import period_key

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("at", "zone", "day"),
    [
        # The day of 23 hours: it begins at 23:00 UTC, the next one at 22:00.
        (datetime(2027, 3, 27, 22, 59, 59, tzinfo=UTC), BERLIN, "2027-03-27"),
        (datetime(2027, 3, 27, 23, tzinfo=UTC), BERLIN, "2027-03-28"),
        (datetime(2027, 3, 28, 21, 59, 59, tzinfo=UTC), BERLIN, "2027-03-28"),
        (datetime(2027, 3, 28, 22, tzinfo=UTC), BERLIN, "2027-03-29"),
        # The day of 25 hours: the other way round.
        (datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC), BERLIN, "2026-10-24"),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), BERLIN, "2026-10-25"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), BERLIN, "2026-10-25"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), BERLIN, "2026-10-25"),
        (datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC), BERLIN, "2026-10-25"),
        (datetime(2026, 10, 25, 23, tzinfo=UTC), BERLIN, "2026-10-26"),
        (datetime(2026, 10, 25, 23, tzinfo=UTC), "UTC", "2026-10-25"),
        (datetime(2026, 10, 25, 11, tzinfo=UTC), "Pacific/Kiritimati", "2026-10-26"),
    ],
)
def test_day_is_the_local_one(at: datetime, zone: str, day: str) -> None:
    assert period_key("day", at, zone) == day


@pytest.mark.parametrize(
    ("at", "week", "month"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), "2026-W47", "2026-11"),
        (datetime(2027, 1, 3, 12, tzinfo=UTC), "2026-W53", "2027-01"),
        (datetime(2027, 1, 3, 23, tzinfo=UTC), "2027-W01", "2027-01"),
        (datetime(2026, 10, 31, 22, 59, tzinfo=UTC), "2026-W44", "2026-10"),
        (datetime(2026, 10, 31, 23, tzinfo=UTC), "2026-W44", "2026-11"),
    ],
)
def test_weeks_begin_on_monday_and_months_on_their_first_there(at: datetime, week: str, month: str) -> None:
    assert (period_key("week", at, BERLIN), period_key("month", at, BERLIN)) == (week, month)


def test_total_never_ends() -> None:
    assert period_key("total", datetime(2026, 1, 1, tzinfo=UTC), BERLIN) == "total"
