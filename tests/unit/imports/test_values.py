"""Raw values become the history's types exactly, or are refused with a reason."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imports import values
from app.imports.values import ParsedColumn


def _reasons(parsed: ParsedColumn) -> list[str]:
    return [reason for reason, mask in parsed.faults if mask.any()]


def _euros(written: Sequence[object]) -> ParsedColumn:
    column = pl.Series(written, dtype=pl.String) if isinstance(written[0], str) else pl.Series(written)
    return values.money(column, pl.Series(["EUR"] * len(written)))


def _utc(*parts: int) -> datetime:
    """As the parser gives it: naive, meant in UTC."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]  # six numbers


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2017-01-01T11:53:26", _utc(2017, 1, 1, 11, 53, 26)),
        ("2017-01-01 11:53:26.5", _utc(2017, 1, 1, 11, 53, 26, 500_000)),
        ("2017-01-01T11:53:26Z", _utc(2017, 1, 1, 11, 53, 26)),
        ("2017-01-01T11:53:26+02:00", _utc(2017, 1, 1, 9, 53, 26)),
        ("2017-01-01 11:53:26 +0200", _utc(2017, 1, 1, 9, 53, 26)),
        ("2017-01-01T11:53-01", _utc(2017, 1, 1, 12, 53)),
        ("2017-01-01T11:53", _utc(2017, 1, 1, 11, 53)),
        ("2017-01-01", _utc(2017, 1, 1)),
        ("20170101", _utc(2017, 1, 1)),
        ("1483271606", _utc(2017, 1, 1, 11, 53, 26)),
        ("1483271606.25", _utc(2017, 1, 1, 11, 53, 26, 250_000)),
        ("1483271606000", _utc(2017, 1, 1, 11, 53, 26)),
        ("1483271606000001", _utc(2017, 1, 1, 11, 53, 26, 1)),
        (" 2017-01-01 ", _utc(2017, 1, 1)),
    ],
)
def test_every_documented_way_to_write_a_time_is_read(written: str, expected: datetime) -> None:
    parsed = values.instants(pl.Series([written, "2020-02-02", None]))
    assert parsed.values.to_list() == [expected, _utc(2020, 2, 2), None]
    assert _reasons(parsed) == []


@pytest.mark.parametrize(
    "written", ["yesterday", "2017-02-30", "01/02/2017", "2017-13-01", "1e400", "99999999999999999999"]
)
def test_what_is_no_time_is_refused(written: str) -> None:
    assert _reasons(values.instants(pl.Series([written])))


@pytest.mark.parametrize("written", ["202611211700", "20261121170000", "45982.7", "45982", "202611", "2026", "08"])
def test_number_that_is_no_epoch_is_refused_with_the_remedy(written: str) -> None:
    parsed = values.instants(pl.Series([written, "1700000000"]))
    assert _reasons(parsed) == [values.NO_TIME]
    assert [mask.to_list() for reason, mask in parsed.faults if reason == values.NO_TIME] == [[True, False]]


def test_typed_times_are_brought_to_utc() -> None:
    zoned = datetime(2017, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))).astimezone(UTC)
    assert values.instants(pl.Series([zoned])).values.to_list() == [_utc(2017, 1, 1, 10)]
    assert values.instants(pl.Series([date(2017, 1, 1)])).values.to_list() == [_utc(2017, 1, 1)]


def test_a_year_out_of_reach_is_refused() -> None:
    assert "years" in _reasons(values.instants(pl.Series(["0017-01-01"])))[0]


@pytest.mark.parametrize(
    ("written", "minor"),
    [("1.005", 100), ("1.015", 102), ("1.025", 102), ("-1.015", -102), ("1e2", 10_000), (".5", 50), ("7", 700)],
)
def test_money_rounds_half_to_even_as_written(written: str, minor: int) -> None:
    assert _euros([written]).values.to_list() == [minor]
    assert _euros([float(written)]).values.to_list() == [minor]


@given(st.decimals(min_value=-(10**13), max_value=10**13, places=4, allow_nan=False))
def test_money_is_as_exact_as_decimal_arithmetic(amount: Decimal) -> None:
    exact = int((amount * 100).to_integral_value(ROUND_HALF_EVEN))
    assert _euros([str(amount)]).values.to_list() == [exact]


def test_minor_units_follow_the_currency_of_the_row() -> None:
    parsed = values.money(pl.Series(["1.234", "1.234", "12"]), pl.Series(["EUR", "KWD", "JPY"]))
    assert parsed.values.to_list() == [123, 1234, 12]


@pytest.mark.parametrize("written", ["1,50", "1_0", "inf", "abc", "1e300"])
def test_what_is_no_amount_is_refused(written: str) -> None:
    assert _reasons(_euros([written, "1"]))
    assert _euros([written, "1"]).values.to_list()[1] == 100


def test_an_absent_quantity_is_one_and_nan_of_parquet_is_absent() -> None:
    assert values.quantities(pl.Series([None, "2.5", "-1"])).values.to_list() == [1.0, 2.5, -1.0]
    assert values.quantities(pl.Series([float("nan"), 2.0])).values.to_list() == [1.0, 2.0]
    assert _reasons(values.quantities(pl.Series(["1e39", "1000000.5"]))) == ["beyond 1,000,000"]
    assert _reasons(values.quantities(pl.Series([float("inf")]))) == ["not finite"]


def test_ids_stay_text_and_integers_become_it() -> None:
    assert values.identifiers(pl.Series([" 007 ", "x y", ""])).values.to_list() == ["007", "x y", None]
    assert values.identifiers(pl.Series([7, None])).values.to_list() == ["7", None]
    assert values.identifiers(pl.Series([900.0, None, float("nan")])).values.to_list() == ["900", None, None]


def test_id_is_written_the_same_whatever_else_its_block_holds() -> None:
    for block in ([900.0], [900.0, 0.5], [900.0, 1e300], ["900"], ["900.0", "x"]):
        assert values.identifiers(pl.Series(block)).values[0] == "900"
    assert values.identifiers(pl.Series(["1.10", "2.5.0", "12e4", "007.0"])).values.to_list() == [
        "1.10", "2.5.0", "12e4", "007",
    ]  # fmt: skip


@pytest.mark.parametrize("lossy", ["5.01E+12", "5e+12", 2.0**53, 1e300])
def test_id_that_lost_digits_as_a_number_is_refused(lossy: str | float) -> None:
    assert _reasons(values.identifiers(pl.Series([lossy]))) == ["a number that lost digits: keep ids as text"]


def test_ids_that_cannot_be_one_are_refused() -> None:
    bad = values.identifiers(pl.Series(["", "a\tb", "x" * 129, "a\x85b"]), compulsory=True)
    assert _reasons(bad) == ["longer than 128 characters", "holds a control character", "missing"]


def test_channels_are_a_closed_set_in_any_case() -> None:
    parsed = values.channels(pl.Series(["Web", "STORE", None, "fax"]))
    assert parsed.values.to_list()[:3] == ["web", "store", None]
    assert [mask.to_list() for _, mask in parsed.faults] == [[False, False, False, True]]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://cdn.example/a.jpg?v=1&w=2#top", "https://cdn.example/a.jpg?v=1&w=2#top"),
        ("HTTP://cdn.example/ä (1).jpg", "HTTP://cdn.example/ä%20(1).jpg"),
        ("/p/1", "/p/1"),
        ("//cdn.example/a.jpg", "//cdn.example/a.jpg"),
        ("javascript:alert(1)", None),
        ("data:image/png;base64,AAAA", None),
        ("www.example/p/1", None),
        ('/p/"onerror=', None),
        ("/p/1\nx", None),
        ("https:///" + "x" * 2000, None),
        ("/", None),
    ],
)
def test_link_is_a_web_address_or_a_path_and_anything_else_is_left_out_of_its_row(
    written: str, kept: str | None
) -> None:
    parsed = values.links(pl.Series([written]))
    assert parsed.values.to_list() == [kept]
    assert not parsed.faults
    assert any(mask.any() for _, mask in parsed.doubts) == (kept is None)


def test_ratings_are_kept_as_text_whatever_type_a_file_gives_them() -> None:
    assert values.ratings(pl.Series([4.5, 5.0, None, -1.0, float("inf")])).values.to_list() == [
        "4.5", "5", None, None, None,
    ]  # fmt: skip
    assert values.ratings(pl.Series(["4,5", "87", "n/a", "nan"])).values.to_list() == ["4.5", "87", None, None]
    assert values.rating_counts(pl.Series([12, 0, -1])).values.to_list() == ["12", "0", None]
    written = pl.Series(["1,204", "1 204", "12.0", "1.5", "10000000000", "many"])
    assert values.rating_counts(written).values.to_list() == ["1204", "1204", "12", None, None, None]
