"""GS1 coupon numbers: check digits, and element strings as they are written and as scanners send them."""

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.offers.terms.gs1 import FNC1, check_digit, checked_gcn, element_string, gcn_of, parse_element_string

GCN = "5012345678900"
NUMBERS = st.text("0123456789", min_size=12, max_size=12)
SERIALS = st.text("0123456789", max_size=12)
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("501234567890", 0), ("629104150021", 3), ("400638133393", 1), ("0614141123452"[:12], 2), ("000000000000", 0)],
)
def test_check_digit_of_published_numbers(digits: str, expected: int) -> None:
    assert check_digit(digits) == expected
    assert gcn_of(digits) == f"{digits}{expected}"


@given(NUMBERS)
def test_number_with_its_check_digit_is_good(digits: str) -> None:
    assert checked_gcn(gcn_of(digits)) == gcn_of(digits)


@given(NUMBERS, st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(digits: str, position: int, off: int) -> None:
    good = gcn_of(digits)
    wrong = good[:position] + str((int(good[position]) + off) % 10) + good[position + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        checked_gcn(wrong)
    with pytest.raises(BadInput, match="check digit"):
        parse_element_string(f"(255){wrong}123")


@pytest.mark.parametrize("wrong", ["", "12", "50123456789000", "50123456789O0", "٥٠١٢٣٤٥٦٧٨٩٠٠"])
def test_what_is_no_number_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="13 digits"):
        checked_gcn(wrong)
    with pytest.raises(ValueError, match="12 digits"):
        gcn_of(wrong)


@given(NUMBERS, SERIALS, st.none() | DAYS)
def test_element_string_reads_as_it_was_written(digits: str, serial: str, day: date | None) -> None:
    gcn = gcn_of(digits)
    values = parse_element_string(element_string(gcn, serial, expires_on=day))
    assert values == {"255": gcn + serial} | ({} if day is None else {"17": f"{day:%y%m%d}"})
    assert next(iter(values)) == "255"


@given(NUMBERS, SERIALS, DAYS, st.sampled_from(["", FNC1, "]C1", "]e0", "]d2", "]Q3", "]C1" + FNC1]))
def test_what_scanners_send_reads_as_what_is_written(digits: str, serial: str, day: date, head: str) -> None:
    written = element_string(gcn_of(digits), serial, expires_on=day)
    number, expiry = written.removeprefix("(255)").split("(17)")
    for sent in (f"{head}255{number}{FNC1}17{expiry}", f"{head}17{expiry}255{number}"):
        assert parse_element_string(sent) == parse_element_string(written)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (f"(255){GCN}(3902)000150", {"255": GCN, "3902": "000150"}),
        (f"255{GCN}{FNC1}39020150{FNC1}17261231", {"255": GCN, "3902": "0150", "17": "261231"}),
        (f"(255){GCN}7(3941)0125", {"255": f"{GCN}7", "3941": "0125"}),
        (f"(255){GCN}(8111)0500", {"255": GCN, "8111": "0500"}),
        (f"(255){GCN}(17)260200", {"255": GCN, "17": "260200"}),
        ("(8112)001234561234560123456", {"8112": "001234561234560123456"}),
        ("8112001234561234560123456", {"8112": "001234561234560123456"}),
        ("(8112)161234561234561234569123456789012345", {"8112": "161234561234561234569123456789012345"}),
    ],
)
def test_coupon_s_elements_are_understood(text: str, values: dict[str, str]) -> None:
    assert parse_element_string(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("WELCOME", "no application identifier"),
        (f"(255){GCN}(", "written as"),
        (f"(255{GCN}", "written as"),
        (f"(01)0{GCN}", "no application identifier of a coupon"),
        (f"(255){GCN[:12]}", "13 digits"),
        (f"(255){GCN}1234567890123", "13 digits"),
        (f"(255){GCN}ABC", "13 digits"),
        (f"255{GCN}1234567890123", "13 digits"),
        (f"(255){GCN}(255){GCN}", "duplicated"),
        (f"(255){GCN}(17)261301", "no day"),
        (f"(255){GCN}(17)260230", "no day"),
        (f"(255){GCN}(17)2612", "YYMMDD"),
        ("(17)261231", "needs the coupon number"),
        ("(3902)000150", "needs the coupon number"),
        (f"(255){GCN}(3902)000150(8111)0500", "exclude each other"),
        (f"(255){GCN}(3902)150(3941)0125", "exclude each other"),
        (f"(255){GCN}(3902)1234567890123456", "up to 15 digits"),
        (f"(255){GCN}(3944)0125", "no application identifier of a coupon"),
        (f"(255){GCN}(3941)125", "4 digits"),
        (f"(255){GCN}(8111)500", "4 digits"),
        ("(8112)201234561234560123456", "format 0 or 1"),
        ("(8112)071234561234560123456", "length 0 to 6"),
        ("(8112)00123456123456012345", "add up to 21"),
        ("(8112)0012345612345601234567", "add up to 21"),
        ("(8112)00123456123456112345", "add up to 22"),
        ("(8112)001234561234A60123456", "digits"),
    ],
)
def test_wrong_element_string_is_refused_saying_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_element_string(text)


@given(st.text(max_size=60) | st.text("0123456789()]C1e\x1d", max_size=60))
def test_anything_else_is_refused_and_never_breaks(text: str) -> None:
    with suppress(BadInput):
        assert parse_element_string(text)
