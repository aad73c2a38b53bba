"""Numbers as people write them: one style for a column, found by the numbers that can be read in just one way."""

import polars as pl
import pytest

from app.imports.columns.numbers import COMMA, POINT, currency_of, number_evidence, plain


@pytest.mark.parametrize(
    ("written", "style"),
    [
        (["1234.56"], POINT),
        (["12", "7"], POINT),
        (["2,55", "1.234", "12"], COMMA),
        (["1.234,50"], COMMA),
        (["1,234.50"], POINT),
        (["1.234.567"], COMMA),
        (["1,234,567"], POINT),
        (["1.000", "2.500"], POINT),
        (["0,125"], COMMA),
        (["€ 2,50", "(3,00)"], COMMA),
        (["2,55", "2.55", "3.10"], POINT),
        (["1,234"], None),
        (["2,55", "2.55"], None),
    ],
)
def test_style_of_a_column_is_that_of_most_numbers_that_have_just_one(written: list[str], style: str | None) -> None:
    assert number_evidence(pl.Series(written)).style() == style


@pytest.mark.parametrize(
    ("style", "written", "read"),
    [
        (COMMA, "1.234,50", "1234.50"),
        (COMMA, "1.234", "1234"),
        (COMMA, "12", "12"),
        (COMMA, "-2,5", "-2.5"),
        (POINT, "1,234.50", "1234.50"),
        (POINT, "1 234.50", "1234.50"),
        (POINT, "1\u00a0234.50", "1234.50"),
        (POINT, "CHF 1'234.50", "1234.50"),
        (POINT, "$8.00", "8.00"),
        (POINT, "-$8.00", "-8.00"),
        (POINT, "(2.50)", "-2.50"),
        (POINT, "2.50-", "-2.50"),
        (POINT, "8.00 USD", "8.00"),
        (POINT, "1e5", "1e5"),
        (POINT, "1,5", "1,5"),
        (COMMA, "1.5", "1.5"),
        (POINT, "2 kg", "2 kg"),
        (POINT, "19.90-29.90", "19.90-29.90"),
        (POINT, "abc", "abc"),
    ],
)
def test_number_is_made_plain_and_anything_else_left_as_it_is(style: str, written: str, read: str) -> None:
    raw = pl.Series([written, None])
    assert plain(raw, style).to_list() == [read, None]
    assert raw.to_list() == [written, None]


def test_currency_is_what_stands_next_to_the_number() -> None:
    written = pl.Series(["$8.00", "8 €", "8.00 USD", "chf 3", "12", "8 pieces", None])
    assert currency_of(written).to_list() == ["USD", "EUR", "USD", None, None, None, None]


def test_numbers_that_a_file_types_as_such_need_no_reading() -> None:
    raw = pl.Series([1.5, None])
    assert plain(raw, COMMA) is raw
