"""Codes are random, can be read out and typed, and never look like another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadInput
from app.offers.terms.codes import (
    ALPHABET,
    CODE_LENGTH,
    chosen_code,
    new_code,
    new_id,
    new_serial,
    normal_code,
    shown_code,
)

CODES = st.text(ALPHABET, min_size=CODE_LENGTH, max_size=CODE_LENGTH)


def test_code_has_eighty_bits() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    codes = [new_code() for _ in range(4000)]
    assert {len(code) for code in codes} == {CODE_LENGTH}
    assert len(set(codes)) == len(codes)
    for position in range(CODE_LENGTH):
        seen = Counter(code[position] for code in codes)
        # 125 of each sign at each place; the bounds are six standard deviations wide.
        assert set(seen) == set(ALPHABET)
        assert min(seen.values()) > 60
        assert max(seen.values()) < 192


def test_serial_is_twelve_digits() -> None:
    serials = [new_serial() for _ in range(1000)]
    assert all(len(serial) == 12 and serial.isdecimal() for serial in serials)
    assert len(set(serials)) == len(serials)


def test_id_tells_what_it_names() -> None:
    assert new_id("cpn").startswith("cpn_")
    assert len(new_id("cpn")) == 36


@given(CODES)
def test_code_survives_being_shown_and_typed(code: str) -> None:
    shown = shown_code(code)
    for typed in (
        shown,
        shown.lower(),
        f" {shown} ",
        shown.replace("-", " "),
        code.replace("0", "o").replace("1", "l"),
    ):
        assert normal_code(typed) == code


@given(CODES, CODES)
def test_no_two_codes_read_alike(one: str, other: str) -> None:
    assert (normal_code(one) == normal_code(other)) == (one == other)


def test_chosen_code_is_kept_as_it_will_be_typed() -> None:
    assert chosen_code("Welcome-10") == normal_code("WELCOME 10")


@pytest.mark.parametrize("wrong", ["", "abc", "a" * 65, "zehn%", "süß-er", "(255)5012345678900"])
def test_code_that_nobody_could_type_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="4 to 64"):
        chosen_code(wrong)
