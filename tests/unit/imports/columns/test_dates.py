"""Dates as people write them: one order of day and month for a column, found by the days above 12."""

import polars as pl
import pytest

from app.imports.columns.dates import DAY_FIRST, MONTH_FIRST, date_evidence, from_spreadsheet, iso


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (["2010-12-01", "20101201"], ("", DAY_FIRST)),
        (["31/12/2010", "01/02/2010"], ("/", DAY_FIRST)),
        (["12/31/2010", "01/02/2010"], ("/", MONTH_FIRST)),
        (["01.02.2010"], (".", DAY_FIRST)),
        (["13-12-10 8:05"], ("-", DAY_FIRST)),
        (["01/02/2010"], None),
        (["31/12/2010", "12/31/2010"], None),
        (["31/12/2010", "30/12/2010", "12/31/2010"], ("/", DAY_FIRST)),
    ],
)
def test_order_of_a_column_is_what_its_dates_allow(written: list[str], form: tuple[str, str] | None) -> None:
    blocks = (date_evidence(pl.Series([each])) for each in written)
    evidence = next(blocks)
    for each in blocks:
        evidence += each
    assert evidence.form() == form


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("31/12/2010", "2010-12-31"),
        ("1/2/2010 8:05", "2010-02-01T08:05:00"),
        ("1/2/10 8:05:09 PM", "2010-02-01T20:05:09"),
        ("1/2/2010 12:30 am", "2010-02-01T00:30:00"),
        ("01/02/2010 08:05 UTC", "2010-02-01T08:05:00Z"),
        ("01/02/2010 08:05 +0200", "2010-02-01T08:05:00+0200"),
        ("2010/12/31", "2010-12-31"),
        ("2010.2.1", "2010-02-01"),
        ("2010-2-1 8:05", "2010-02-01T08:05:00"),
        ("20101231 17:05", "2010-12-31T17:05:00"),
        ("Dec 31, 2010", "2010-12-31"),
        ("31 December 2010 17:05", "2010-12-31T17:05:00"),
        ("31-Dec-10", "2010-12-31"),
        ("Fri, 31 Dec 2010", "2010-12-31"),
        ("31.12.2010", "31.12.2010"),
        ("hello", "hello"),
        ("99/99/2010", "2010-99-99"),
    ],
)
def test_date_is_made_iso_and_anything_else_left_as_it_is(written: str, read: str) -> None:
    assert iso(pl.Series([written, None]), mark="/", order=DAY_FIRST).to_list() == [read, None]


def test_days_of_a_spreadsheet_are_read_only_within_its_calendar() -> None:
    read = from_spreadsheet(pl.Series(["40513.5", "25569", "0", "x", None]))
    assert read.dt.epoch("s").to_list() == [1291204800, 0, None, None, None]
