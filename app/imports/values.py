"""Turn columns of raw values into the history's types, and say which values cannot be turned and why."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import partial

import polars as pl

from app.bounds import (
    CLOCK_SKEW,
    CONTROL_CHARACTERS,
    FIRST_YEAR,
    ID_LENGTH,
    LAST_YEAR,
    LINK,
    LINK_LENGTH,
    QUANTITY_MAX,
    RATING_COUNT_MAX,
)
from app.domain import Channel
from app.errors import BadInput
from app.imports.columns import currencies as known_currencies
from app.imports.columns.dates import EXCEL, ISO, TimeForm, from_spreadsheet, iso
from app.imports.columns.words import CHANNELS, GUESTS, TOTALS, YES_OR_NO, without_missing
from app.offers.terms.money import MAX_MINOR, MINOR_DIGITS, MINOR_DIGITS_MOST

EPOCH_FIRST_YEAR = 1990
EPOCH_S = tuple(datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (EPOCH_FIRST_YEAR, LAST_YEAR + 1))
"""Digits alone are seconds within these bounds, or as many milliseconds or microseconds. Others are no epoch: a date to
the minute (202611211700), the days of a spreadsheet (45982.7), a month (202611), an hour (8)."""
# Below this many minor units a float64 is off by less than TIE_WIDTH, so only near-ties need decimals.
FLOAT_EXACT_MAX = 1e11
# From here on neighbouring whole numbers are one float64.
FLOAT_WHOLE_MAX = 2.0**53
AGE = r"^(?:ab|from|over|fsk|usk|pegi|age)?\s*(\d{1,2})\s*(?:\+|years?|jahren?)?$"
GROUPED = r"^\d{1,3}([.,'\u2019\s]\d{3})+$"
SPREADSHEET_NUMBER = r"^\d+(\.\d+)?[eE]\+\d+$|^\d+\.\d+[eE]\d+$"
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

NO_TIME = (
    "not a time: write 2026-11-21T17:00:00Z, or state --date-format (excel for the days of a spreadsheet); a number is "
    f"read as seconds since 1970, from {EPOCH_FIRST_YEAR} on"
)

Fault = tuple[str, pl.Series]
"""A reason and the mask of the rows it applies to."""


@dataclass(frozen=True, slots=True)
class ParsedColumn:
    """A column in its final type, null where a value is absent or faulty, and the faults."""

    values: pl.Series
    faults: Sequence[Fault] = ()
    doubts: Sequence[Fault] = ()
    """What is left out of rows that are sound without it."""


def text(raw: pl.Series) -> pl.Series:
    """Any scalar column as trimmed text; empty is null. Whole floats lose their point: 900.0 becomes 900."""
    if raw.dtype.is_float():
        number = raw.fill_nan(None)
        # Each by itself: what others a block or a file holds must not change how an id is written.
        whole = number.set((number % 1 != 0) | (number.abs() >= FLOAT_WHOLE_MAX), None).cast(pl.Int64, strict=False)
        raw = pl.select(pl.coalesce(whole.cast(pl.String), number.cast(pl.String))).to_series()
    trimmed = raw.cast(pl.String).str.strip_chars()
    return trimmed.set(trimmed == "", None)


def words(raw: pl.Series) -> pl.Series:
    """Text for people: without the tags and entities of HTML that shops have in their names."""
    written = text(raw)
    marked = written.str.contains(r"&[#\w]+;|<[A-Za-z/][^>]*>").fill_null(False).arg_true()
    if not marked.len():
        return written
    tags = written.gather(marked).str.replace_all(r"<[A-Za-z/][^>]*>", " ")
    cleaned = [" ".join(html.unescape(each).split()) for each in tags]
    return written.clone().scatter(marked, pl.Series(cleaned, dtype=pl.String))


def identifiers(
    raw: pl.Series, *, compulsory: bool = False, length_max: int = ID_LENGTH, missing: frozenset[str] = frozenset()
) -> ParsedColumn:
    """Ids as text, leading zeros kept; 900.0 is 900, as a program writes it that took ids for numbers.

    Words for no value, and further ones in `missing`, are absent.
    """
    values = without_missing(text(raw), further=missing)
    if values.null_count() == values.len():
        # A column that the file lacks, or leaves empty, has no other fault.
        return ParsedColumn(values, [("missing", values.is_null())] if compulsory else [])
    if values.str.contains(".", literal=True).any():
        values = values.str.replace(r"^(\d+)\.0+$", "$1")
    lossy = raw.abs() >= FLOAT_WHOLE_MAX if raw.dtype.is_float() else values.str.contains(SPREADSHEET_NUMBER)
    faults = [
        ("a number that lost digits: keep ids as text", lossy),
        (f"longer than {length_max} characters", values.str.len_chars() > length_max),
        ("holds a control character", values.str.contains(CONTROL_CHARACTERS)),
    ]
    if compulsory:
        faults.append(("missing", values.is_null()))
    return ParsedColumn(values, faults)


def customers(raw: pl.Series, *, without_is_fault: pl.Series) -> ParsedColumn:
    """Ids of customers; a guest has none, which is a fault where the mask says so. A line of sums is none either."""
    found = identifiers(raw, missing=GUESTS)
    total = ("a line of sums is no purchase", found.values.str.to_lowercase().is_in(list(TOTALS)))
    return ParsedColumn(found.values, [*found.faults, total, ("missing", found.values.is_null() & without_is_fault)])


def channels(raw: pl.Series) -> ParsedColumn:
    """The closed set of `Channel`, in any case of letters, and words of other systems for them."""
    written = without_missing(text(raw)).str.to_lowercase()
    known = [channel.value for channel in Channel]
    values = written
    if not written.is_in(known).all():
        values = written.replace_strict(CHANNELS, default=None, return_dtype=pl.String)
    return ParsedColumn(values, [(f"not one of {', '.join(known)}", written.is_not_null() & values.is_null())])


def yes_or_no(raw: pl.Series) -> ParsedColumn:
    """yes or no, also read from words such as true and 0, active and draft; absent stays absent."""
    written = without_missing(text(raw)).str.to_lowercase()
    values = written.replace_strict(YES_OR_NO, default=None, return_dtype=pl.String)
    return ParsedColumn(values, [("not yes or no", written.is_not_null() & values.is_null())])


def age_limits(raw: pl.Series) -> ParsedColumn:
    """yes, no, or the age from which on a product may be bought, also read from words such as true and 18+."""
    written = without_missing(text(raw)).str.to_lowercase()
    age = written.str.extract(AGE).cast(pl.Int64, strict=False).cast(pl.String)
    # Words first: 1 and 0 are yes and no.
    values = written.replace_strict(YES_OR_NO, default=None, return_dtype=pl.String).fill_null(age)
    return ParsedColumn(values, [("not yes, no or an age: write 18", written.is_not_null() & values.is_null())])


def links(raw: pl.Series) -> ParsedColumn:
    """URLs of http and https, and paths, with %20 for spaces; any other value is left out of its row."""
    written = without_missing(text(raw)).str.replace_all(" ", "%20", literal=True)
    is_sound = written.str.contains(LINK) & (written.str.len_chars() <= LINK_LENGTH)
    return _if_sound(written, is_sound, "neither a URL as https://… nor a path from /")


def ratings(raw: pl.Series) -> ParsedColumn:
    """Numbers from 0 on as text, on whatever scale; any other value is left out of its row."""
    written = without_missing(text(raw)).str.replace(r"^(\d+),(\d+)$", "$1.$2")
    number = written.cast(pl.Float64, strict=False)
    return _if_sound(written, number.is_finite() & (number >= 0), "not a number from 0 on: write 4.5")


def rating_counts(raw: pl.Series) -> ParsedColumn:
    """Whole numbers from 0 on as text, also read from 1,234; any other value is left out of its row."""
    written = without_missing(text(raw)).str.replace(r"^(\d+)\.0+$", "$1")
    written = written.str.replace_all(r"\D", "").zip_with(written.str.contains(GROUPED).fill_null(False), written)
    is_sound = written.cast(pl.Int64, strict=False).is_between(0, RATING_COUNT_MAX)
    return _if_sound(written, is_sound, f"not a whole number of 0 to {RATING_COUNT_MAX:,}: write 120")


def _if_sound(written: pl.Series, is_sound: pl.Series, reason: str) -> ParsedColumn:
    is_doubtful = written.is_not_null() & ~is_sound.fill_null(False)
    return ParsedColumn(written.set(is_doubtful, None), doubts=[(reason, is_doubtful)])


def currencies(raw: pl.Series, *, default: str) -> ParsedColumn:
    """Codes of ISO 4217, also read from signs and words; `default` where the value is absent."""
    values = known_currencies.codes(without_missing(text(raw)))
    # By the distinct values, of which a file has few.
    unknown = [code for code in values.drop_nulls().unique() if code not in known_currencies.CODES]
    return ParsedColumn(values.fill_null(default), [("not a currency: write a code as EUR", values.is_in(unknown))])


def quantities(raw: pl.Series) -> ParsedColumn:
    """float32, 1 where the value is absent; negative stays negative."""
    given = _number(raw)
    values = given.values.cast(pl.Float32)
    too_large = (f"beyond {QUANTITY_MAX:,.0f}", given.values.is_finite() & (given.values.abs() > QUANTITY_MAX))
    return ParsedColumn(values.fill_null(1.0), [*given.faults, too_large])


def thousandths(raw: pl.Series) -> ParsedColumn:
    """Quantities as int64 thousandths, rounded; none may be absent."""
    given = _number(raw)
    too_large = given.values.is_finite() & (given.values.abs() > QUANTITY_MAX)
    values = (given.values * 1000).round().set(~given.values.is_finite() | too_large, None).cast(pl.Int64)
    # What is no number is absent by then, too.
    (_, unread), *_ = given.faults
    absent = given.values.is_null() & ~unread.fill_null(False)
    return ParsedColumn(values, [*given.faults, (f"beyond {QUANTITY_MAX:,.0f}", too_large), ("missing", absent)])


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


def product(raw: pl.Series, factor: pl.Series, currency: pl.Series) -> ParsedColumn:
    """A price times a number of pieces as integer minor units of each row's currency; 1 piece where that is absent."""
    price, pieces = _number(raw), _number(factor)
    # Six decimals are more than any price has, and hide what floats add to a product of two decimals.
    total = money((price.values * pieces.values.fill_null(1.0)).round(6), currency)
    return ParsedColumn(total.values, [*price.faults, *total.faults])


def text_of_number(raw: pl.Series) -> pl.Series:
    """The number as written; a float as its shortest text, so that 1.015 rounds as 1.015."""
    return raw.cast(pl.String).str.strip_chars()


def instants(raw: pl.Series, form: TimeForm = ISO) -> ParsedColumn:
    """Naive datetime[us] in UTC: ISO 8601 with or without a zone, a date, or epoch seconds, ms or µs.

    Also the local dates that `form` describes, or only what has its format. Times without a zone are in its zone.
    """
    if isinstance(raw.dtype, pl.Datetime) and raw.dtype.time_zone is not None:
        values = raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
        return ParsedColumn(values, [_out_of_range(values)])
    if raw.dtype == pl.Date or isinstance(raw.dtype, pl.Datetime):
        written, local, faults = raw, raw.cast(pl.Datetime("us")), []
        is_local = raw.is_not_null()
    else:
        written = without_missing(text(raw))
        local, is_local = _instants_of_text(written, form)
        wanted = f"not a time as {form.format}" if form.format else NO_TIME
        faults = [(wanted, written.is_not_null() & local.is_null())]
    values = local
    if form.zone != "UTC":
        values = _from_zone(local, form.zone).zip_with(is_local, local)
        faults.append((f"no time of {form.zone}: clocks were put forward", local.is_not_null() & values.is_null()))
    return ParsedColumn(values, [*faults, _out_of_range(values)])


def _from_zone(local: pl.Series, zone: str) -> pl.Series:
    placed = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def happened(raw: pl.Series, *, now: datetime, shift: timedelta = timedelta()) -> ParsedColumn:
    """Instants of what has happened: moved by `shift`, not later than `now` and a little."""
    parsed = instants(raw)
    latest = (now + CLOCK_SKEW - shift).astimezone(UTC).replace(tzinfo=None)
    return ParsedColumn(parsed.values, [*parsed.faults, ("after now: it cannot have happened", parsed.values > latest)])


def _instants_of_text(written: pl.Series, form: TimeForm) -> tuple[pl.Series, pl.Series]:
    """The times, null where there is none, and which of them name no zone."""
    if form.format == EXCEL:
        return from_spreadsheet(written), written.is_not_null()
    if form.format is not None:
        try:
            stated = written.str.to_datetime(form.format, strict=False, time_unit="us", exact=True)
        except pl.exceptions.PolarsError as error:
            raise BadInput(f"--date-format {form.format}: {str(error).splitlines()[0]}") from None
        if isinstance(stated.dtype, pl.Datetime) and stated.dtype.time_zone is not None:
            return stated.dt.convert_time_zone("UTC").dt.replace_time_zone(None), ~written.is_not_null()
        return stated, written.is_not_null()
    values, is_local = _instants_of_iso(written)
    others = (values.is_null() & written.is_not_null()).arg_true()
    if others.len():
        again, is_local_again = _instants_of_iso(iso(written.gather(others), mark=form.mark, order=form.order))
        values = values.scatter(others, again)
        is_local = is_local.scatter(others, is_local_again)
    return values, is_local


def _instants_of_iso(written: pl.Series) -> tuple[pl.Series, pl.Series]:
    values = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, written.len())
    # Naive formats first, as most files have them; each further one reads only what is still open.
    bare = written.str.strip_suffix("Z")
    for form in NAIVE_FORMATS:
        values = _filled(values, bare, partial(_parsed, form=form))
    # 04-30-22 is no day of the year 4, but of a local form.
    early = (values.dt.year() < 100).fill_null(False)
    if early.any():
        values = values.set(early & ~bare.str.contains(r"^\d{4}"), None)
    is_local = values.is_not_null() & (bare.str.len_bytes() == written.str.len_bytes())
    # After %Y%m%d, because eight digits are a date if they can be one.
    values = _filled(values, written, _epoch)
    for form in ZONED_FORMATS:
        values = _filled(values, written, partial(_parsed, form=form))
    return values, is_local.fill_null(False)


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
    written = without_missing(text(raw))
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
