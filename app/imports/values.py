"""Turn columns of raw values into the history's types, and say which values cannot be turned and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import partial

import polars as pl

from app.bounds import CLOCK_SKEW, CONTROL_CHARACTERS, FIRST_YEAR, ID_LENGTH, LAST_YEAR, QUANTITY_MAX
from app.domain import Channel
from app.offers.terms.money import MAX_MINOR, MINOR_DIGITS, MINOR_DIGITS_MOST

EPOCH_FIRST_YEAR = 1990
EPOCH_S = tuple(datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (EPOCH_FIRST_YEAR, LAST_YEAR + 1))
"""Digits alone are seconds within these bounds, or as many milliseconds or microseconds. Others are no epoch: a date to
the minute (202611211700), the days of a spreadsheet (45982.7), a month (202611), an hour (8)."""
# Below this many minor units a float64 is off by less than TIE_WIDTH, so only near-ties need decimals.
FLOAT_EXACT_MAX = 1e11
# From here on neighbouring whole numbers are one float64.
FLOAT_WHOLE_MAX = 2.0**53
SPREADSHEET_NUMBER = r"^\d+(\.\d+)?[eE]\+\d+$"
TIE_WIDTH = 1e-4

NAIVE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
)
ZONED_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f %#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
)

NO_TIME = f"not a time: write 2026-11-21T17:00:00Z; a number is read as seconds since 1970, from {EPOCH_FIRST_YEAR} on"

Fault = tuple[str, pl.Series]
"""A reason and the mask of the rows it applies to."""


@dataclass(frozen=True, slots=True)
class ParsedColumn:
    """A column in its final type, null where a value is absent or faulty, and the faults."""

    values: pl.Series
    faults: Sequence[Fault] = ()


def text(raw: pl.Series) -> pl.Series:
    """Any scalar column as trimmed text; empty is null. Whole floats lose their point: 900.0 becomes 900."""
    if raw.dtype.is_float():
        number = raw.fill_nan(None)
        # Each by itself: what others a block or a file holds must not change how an id is written.
        whole = number.set((number % 1 != 0) | (number.abs() >= FLOAT_WHOLE_MAX), None).cast(pl.Int64, strict=False)
        raw = pl.select(pl.coalesce(whole.cast(pl.String), number.cast(pl.String))).to_series()
    trimmed = raw.cast(pl.String).str.strip_chars()
    return trimmed.set(trimmed == "", None)


def identifiers(raw: pl.Series, *, compulsory: bool = False, length_max: int = ID_LENGTH) -> ParsedColumn:
    """Ids as text, leading zeros kept; 900.0 is 900, as a program writes it that took ids for numbers."""
    values = text(raw).str.replace(r"^(\d+)\.0+$", "$1")
    lossy = raw.abs() >= FLOAT_WHOLE_MAX if raw.dtype.is_float() else values.str.contains(SPREADSHEET_NUMBER)
    faults = [
        ("a number that lost digits: keep ids as text", lossy),
        (f"longer than {length_max} characters", values.str.len_chars() > length_max),
        ("holds a control character", values.str.contains(CONTROL_CHARACTERS)),
    ]
    if compulsory:
        faults.append(("missing", values.is_null()))
    return ParsedColumn(values, faults)


def channels(raw: pl.Series) -> ParsedColumn:
    """The closed set of `Channel`, in any case of letters."""
    values = text(raw).str.to_lowercase()
    known = [channel.value for channel in Channel]
    return ParsedColumn(values, [(f"not one of {', '.join(known)}", ~values.is_in(known))])


def yes_or_no(raw: pl.Series) -> ParsedColumn:
    """yes or no, also read from true, false, 1, 0, y and n; absent stays absent."""
    words = {"yes": "yes", "true": "yes", "1": "yes", "y": "yes", "no": "no", "false": "no", "0": "no", "n": "no"}
    written = text(raw).str.to_lowercase()
    values = written.replace_strict(words, default=None, return_dtype=pl.String)
    return ParsedColumn(values, [("not yes or no", written.is_not_null() & values.is_null())])


def currencies(raw: pl.Series, *, default: str) -> ParsedColumn:
    """Three capital letters; `default` where the value is absent."""
    values = text(raw).str.to_uppercase()
    return ParsedColumn(
        values.fill_null(default), [("not a currency of three letters", ~values.str.contains("^[A-Z]{3}$"))]
    )


def quantities(raw: pl.Series) -> ParsedColumn:
    """float32, 1 where the value is absent; negative stays negative."""
    given = _number(raw)
    values = given.values.cast(pl.Float32)
    too_large = (f"beyond {QUANTITY_MAX:,.0f}", given.values.is_finite() & (given.values.abs() > QUANTITY_MAX))
    return ParsedColumn(values.fill_null(1.0), [*given.faults, too_large])


def percents(raw: pl.Series) -> ParsedColumn:
    """float64 of 0.01 to 100, in whole hundredths; absent stays absent."""
    given = _number(raw)
    bounds = ("not 0.01 to 100", (given.values < 0.01) | (given.values > 100))
    # The float nearest to a number of two decimals is what rounding to them gives.
    return ParsedColumn(
        given.values, [*given.faults, bounds, ("more than two decimals", given.values.round(2) != given.values)]
    )


def money(raw: pl.Series, currency: pl.Series) -> ParsedColumn:
    """Decimal major units as integer minor units of each row's currency, rounded half to even, exactly."""
    given = _number(raw)
    digits = currency.replace_strict(MINOR_DIGITS, default=MINOR_DIGITS_MOST, return_dtype=pl.Int64)
    scaled = given.values * 10.0**digits
    too_large = scaled.abs() > MAX_MINOR
    near_tie = ((scaled - scaled.floor() - 0.5).abs() < TIE_WIDTH) | (scaled.abs() > FLOAT_EXACT_MAX)
    # What has no integer is taken out first, because cast() raises on it.
    rounded = scaled.set(~scaled.is_finite() | too_large, None).round(0, mode="half_to_even").cast(pl.Int64)
    unsure = (near_tie & ~too_large & scaled.is_finite()).fill_null(False).arg_true()
    if unsure.len():
        rounded = rounded.scatter(unsure, _decimal_minor(text_of_number(raw).gather(unsure), digits.gather(unsure)))
    return ParsedColumn(rounded, [*given.faults, ("too large", too_large & scaled.is_finite())])


def text_of_number(raw: pl.Series) -> pl.Series:
    """The number as written; a float as its shortest text, so that 1.015 rounds as 1.015."""
    return raw.cast(pl.String).str.strip_chars()


def instants(raw: pl.Series) -> ParsedColumn:
    """Naive datetime[us] in UTC: ISO 8601 with or without a zone, a date, or epoch seconds, ms or µs."""
    if raw.dtype == pl.Date:
        values = raw.cast(pl.Datetime("us"))
    elif isinstance(raw.dtype, pl.Datetime):
        zoned = raw if raw.dtype.time_zone is None else raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        values = zoned.cast(pl.Datetime("us"))
    else:
        return _instants_of_text(text(raw))
    return ParsedColumn(values, [_out_of_range(values)])


def happened(raw: pl.Series, *, now: datetime, shift: timedelta = timedelta()) -> ParsedColumn:
    """Instants of what has happened: moved by `shift`, not later than `now` and a little."""
    parsed = instants(raw)
    latest = (now + CLOCK_SKEW - shift).astimezone(UTC).replace(tzinfo=None)
    return ParsedColumn(parsed.values, [*parsed.faults, ("after now: it cannot have happened", parsed.values > latest)])


def _instants_of_text(written: pl.Series) -> ParsedColumn:
    values = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, written.len())
    # Naive formats first, as most files have them; each further one reads only what is still open.
    bare = written.str.strip_suffix("Z")
    for form in NAIVE_FORMATS:
        values = _filled(values, bare, partial(_parsed, form=form))
    # After %Y%m%d, because eight digits are a date if they can be one.
    values = _filled(values, written, _epoch)
    for form in ZONED_FORMATS:
        values = _filled(values, written, partial(_parsed, form=form))
    unread = written.is_not_null() & values.is_null()
    return ParsedColumn(values, [(NO_TIME, unread), _out_of_range(values)])


def _filled(values: pl.Series, written: pl.Series, parse: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`values` with what `parse` makes of the values still open."""
    open_positions = (values.is_null() & written.is_not_null()).arg_true()
    if not open_positions.len():
        return values
    if open_positions.len() == values.len():
        return parse(written)
    return values.scatter(open_positions, parse(written.gather(open_positions)))


def _parsed(written: pl.Series, *, form: str) -> pl.Series:
    if "z" not in form:
        # A year of other than four digits, as in 20261121123000, is no such date.
        return written.str.to_datetime(form, strict=False, time_unit="us", exact=True)
    zoned = written.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
    return zoned.dt.replace_time_zone(None)


def _epoch(written: pl.Series) -> pl.Series:
    number = written.cast(pl.Float64, strict=False)
    microseconds = pl.repeat(None, written.len(), dtype=pl.Int64, eager=True)
    for unit in (1e6, 1e3, 1.0):
        found = (number * unit).round()
        is_this = found.is_between(EPOCH_S[0] * 1e6, EPOCH_S[1] * 1e6, closed="left").fill_null(False)
        microseconds = found.set(~is_this, None).cast(pl.Int64, strict=False).zip_with(is_this, microseconds)
    return microseconds.cast(pl.Datetime("us"))


def _out_of_range(values: pl.Series) -> Fault:
    year = values.dt.year()
    return (f"not between the years {FIRST_YEAR} and {LAST_YEAR}", (year < FIRST_YEAR) | (year > LAST_YEAR))


def _number(raw: pl.Series) -> ParsedColumn:
    """float64; NaN from a Parquet file is absent, written nan and infinity are faults."""
    if raw.dtype.is_numeric():
        values = raw.cast(pl.Float64).fill_nan(None)
        return ParsedColumn(values, [("not finite", ~values.is_finite())])
    written = text(raw)
    values = written.cast(pl.Float64, strict=False)
    unread = (written.is_not_null() & values.is_null()) | ~values.is_finite().fill_null(True)
    return ParsedColumn(values, [("not a number: write 1234.56", unread)])


def _decimal_minor(written: pl.Series, digits: pl.Series) -> pl.Series:
    return pl.Series(
        [_minor(number, decimals) for number, decimals in zip(written, digits, strict=True)], dtype=pl.Int64
    )


def _minor(written: str, digits: int) -> int | None:
    try:
        return int(Decimal(written).scaleb(digits).to_integral_value(ROUND_HALF_EVEN))
    except InvalidOperation:
        return None
