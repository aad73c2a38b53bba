"""Dates as people write them: 31.12.2025, 12/31/2025, 31 Dec 2025; one order of day and month for a whole column."""

from dataclasses import dataclass

import polars as pl

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
EXCEL = "excel"
"""Stated for days as a spreadsheet counts them, from 1899-12-30 on."""

MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_TIME = (
    r"(?:[ T,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?\s?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?$"
)
_NUMBERS = r"^(?P<first>\d{1,2})(?P<mark>[/.\-])(?P<second_part>\d{1,2})[/.\-](?P<year>\d{4}|\d{2})" + _TIME
_NAMED = (
    r"^(?:[A-Za-z]{3,9}, ?)?(?:(?P<day>\d{1,2})[ \-.]{1,2})?(?P<month>[A-Za-z]{3})[a-z]*\.?[ \-]"
    r"(?:(?P<day_after>\d{1,2})(?:(?:st|nd|rd|th)?,? |-))?(?P<year>\d{4}|\d{2})" + _TIME
)
_YEAR_FIRST = (
    r"^(?P<year>\d{4})(?:[/.](?P<month>\d{1,2})[/.]|-(?P<month_>\d{1,2})-|(?P<month__>\d{2}))(?P<day>\d{1,2})" + _TIME
)


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How the times of a file are written: local dates, one format for all, and the zone of times that name none."""

    mark: str = ""
    order: str = DAY_FIRST
    format: str | None = None
    """As strptime takes it, or `EXCEL`."""
    zone: str = "UTC"


ISO = TimeForm()


@dataclass(frozen=True, slots=True)
class DateEvidence:
    """Of the dates of a column with numbers of day and month: which is which, by the mark between them."""

    day_first: tuple[tuple[str, int], ...] = ()
    month_first: tuple[tuple[str, int], ...] = ()
    either: tuple[tuple[str, int], ...] = ()
    example: str = ""

    def __add__(self, other: "DateEvidence") -> "DateEvidence":
        return DateEvidence(
            _sum(self.day_first, other.day_first),
            _sum(self.month_first, other.month_first),
            _sum(self.either, other.either),
            self.example or other.example,
        )

    def usual_mark(self) -> str:
        """What most dates have between day and month; nothing without any."""
        marks = dict(_sum(_sum(self.day_first, self.month_first), self.either))
        return max(marks, key=lambda mark: marks[mark]) if marks else ""

    def form(self) -> tuple[str, str] | None:
        """Mark and order; None where nothing decides. Points are between day and month in that order everywhere."""
        mark = self.usual_mark()
        if not mark:
            return ("", DAY_FIRST)
        day, month = dict(self.day_first).get(mark, 0), dict(self.month_first).get(mark, 0)
        if mark == "." and not month:
            return mark, DAY_FIRST
        if day == month:
            return None
        return mark, DAY_FIRST if day > month else MONTH_FIRST


def date_evidence(raw: pl.Series) -> DateEvidence:
    """What the column's text says of the order of day and month."""
    if raw.dtype != pl.String:
        return DateEvidence()
    parts = _parts(raw.str.strip_chars(), _NUMBERS).filter(pl.col("first").is_not_null())
    if parts.is_empty():
        return DateEvidence()
    first, second = (pl.col(name).cast(pl.Int64) for name in ("first", "second_part"))
    counts = parts.group_by("mark").agg(
        ((first > 12) & (second <= 12)).sum().alias("day"),
        ((second > 12) & (first <= 12)).sum().alias("month"),
        ((second <= 12) & (first <= 12)).sum().alias("either"),
    )
    found = {
        name: tuple((mark, count) for mark, count in counts.select("mark", name).sort("mark").rows() if count)
        for name in ("day", "month", "either")
    }
    return DateEvidence(found["day"], found["month"], found["either"], str(parts["whole"][0]))


def iso(raw: pl.Series, *, mark: str, order: str) -> pl.Series:
    """The text with all dates as 2025-12-31T17:05:00; what is none, or has another mark, stays as it is."""
    written = raw.str.strip_chars()
    first, second = ("day", "month") if order == DAY_FIRST else ("month", "day")
    numbers = _parts(written, _NUMBERS).with_columns(
        pl.col("first").alias(first),
        pl.col("second_part").alias(second),
        pl.when(pl.col("mark") == mark).then("year").alias("year"),
    )
    named = _parts(written, _NAMED).with_columns(
        pl.col("month").str.to_lowercase().replace_strict(MONTHS, default=None, return_dtype=pl.String),
        pl.coalesce("day", "day_after").alias("day"),
    )
    year_first = _parts(written, _YEAR_FIRST).with_columns(pl.coalesce("month", "month_", "month__").alias("month"))
    texts = [frame.select(_text()).to_series() for frame in (numbers, named, year_first)]
    return pl.select(pl.coalesce(*texts, written)).to_series()


def from_spreadsheet(raw: pl.Series) -> pl.Series:
    """Days since 1899-12-30 as naive datetime[us], to the second; null where there is no number."""
    days = raw.cast(pl.Float64, strict=False)
    seconds = ((days - 25_569) * 86_400).round().set(~days.is_between(1, 2_958_466).fill_null(False), None)
    return (seconds.cast(pl.Int64) * 1_000_000).cast(pl.Datetime("us"))


def _parts(written: pl.Series, pattern: str) -> pl.DataFrame:
    """The named groups of the pattern, all null where it does not match, and the text as `whole`."""
    found = written.str.extract_groups(pattern).struct.unnest()
    return found.with_columns(written.alias("whole"))


def _text() -> pl.Expr:
    """ISO 8601 of the parts year, month, day, hour, minute, second, half and zone."""
    two_digits = pl.col("year").str.len_chars() == 2
    century = pl.when(pl.col("year").cast(pl.Int64, strict=False) < 70).then(pl.lit("20")).otherwise(pl.lit("19"))
    year = pl.when(two_digits).then(century + pl.col("year")).otherwise("year")
    hour = pl.col("hour").cast(pl.Int64, strict=False)
    half = pl.col("half").str.to_lowercase().str.slice(0, 1)
    hour = pl.when(half == "p").then(hour % 12 + 12).when(half == "a").then(hour % 12).otherwise(hour)
    zone = pl.when(pl.col("zone").is_in(["UTC", "GMT"])).then(pl.lit("Z")).otherwise("zone").fill_null("")
    time = pl.format(
        "T{}:{}:{}{}",
        hour.cast(pl.String).str.zfill(2),
        "minute",
        pl.col("second").fill_null("00"),
        zone,
    ).fill_null("")
    date = pl.format("{}-{}-{}", year, pl.col("month").str.zfill(2), pl.col("day").str.zfill(2))
    return (date + time).alias("text")


def _sum(some: tuple[tuple[str, int], ...], others: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    total: dict[str, int] = {}
    for mark, count in (*some, *others):
        total[mark] = total.get(mark, 0) + count
    return tuple(sorted(total.items()))
