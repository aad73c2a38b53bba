"""How the numbers and times of a file are to be read: stated, or decided over whole columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from app.errors import BadInput
from app.imports import values
from app.imports.columns import numbers
from app.imports.columns.dates import DAY_FIRST, ISO, MONTH_FIRST, DateEvidence, TimeForm, date_evidence
from app.imports.columns.numbers import COMMA, POINT, NumberEvidence, number_evidence
from app.imports.mapping.apply import TIMES as TIMES_OTHER
from app.imports.mapping.model import FileForm
from app.imports.reading.block import Block

NUMBERS = (
    *("quantity", "amount", "amount" + TIMES_OTHER, "discount", "price", "unit_cost", "budget", "percent"),
    *("competitor_price", "latitude", "longitude"),
)
MONEY = ("amount", "price")
"""By which a currency may stand."""
TIMES = ("timestamp", "starts_at", "ends_at", "valid_from", "valid_until", "as_of")
LOCAL_TIMES = ("timestamp", "as_of", "valid_from")
"""Those that are by the clock of the row's store, where they name no zone."""


class Unclear(BadInput):
    """A file that could be read in two ways; `option` of `app.imports.mapping.model.FileForm` says which."""

    def __init__(self, message: str, *, option: str, choices: tuple[str, ...]) -> None:
        super().__init__(message)
        self.option = option
        self.choices = choices


@dataclass(frozen=True, slots=True)
class Reading:
    """The decimal style of each column of numbers that has another than a point, and the form of times."""

    decimals: Mapping[str, str] = field(default_factory=dict)
    times: TimeForm = ISO
    store_zones: Mapping[str, str] | None = field(default=None, repr=False)
    """By store the zone of times that name none; None where one is stated for all."""

    def is_plain(self) -> bool:
        """Whether numbers have a point, and times the year first and no zone but UTC."""
        return self.times == ISO and all(style == POINT for style in self.decimals.values())

    def plain(self, block: Block) -> Block:
        """The block with numbers as 1234.56 and times as ISO 8601, the currencies that stand next to amounts apart."""
        frame = block.frame
        changed: dict[str, pl.Series] = {}
        for name in NUMBERS:
            if name in frame.columns:
                written = numbers.plain(frame[name], self.decimals.get(name, POINT))
                if written is not frame[name]:
                    changed[name] = written
        money = next((name for name in MONEY if name in changed), None)
        if money is not None and "currency" not in frame.columns:
            changed["currency"] = numbers.currency_of(frame[money])
        for name in TIMES if self.times != ISO else ():
            if name in frame.columns:
                changed[name] = _iso(frame[name], self.times)
        for name in LOCAL_TIMES if self.store_zones and "store_id" in frame.columns else ():
            if name in frame.columns:
                changed[name] = self._in_zones_of_stores(frame[name], frame["store_id"])
        return replace(block, frame=frame.with_columns(**changed)) if changed else block

    def _in_zones_of_stores(self, raw: pl.Series, stores: pl.Series) -> pl.Series:
        known = self.store_zones or {}
        zones = values.identifiers(stores).values.replace_strict(known, default=None, return_dtype=pl.String)
        read = _iso(raw, self.times)
        for zone in zones.drop_nulls().unique():
            read = _iso(raw, replace(self.times, zone=zone)).zip_with((zones == zone).fill_null(False), read)
        return read


AS_WRITTEN = Reading()


def _iso(raw: pl.Series, form: TimeForm) -> pl.Series:
    """Times in UTC; what is none stays as it is written, and is refused as such."""
    found = values.instants(raw, form).values
    if raw.dtype.is_temporal():
        return found
    raw = raw.cast(pl.String)
    if form.zone != "UTC" and found.null_count() > raw.null_count():
        # What is no time in the zone must not be read as one of UTC from here on.
        left_out = found.is_null() & values.instants(raw, replace(form, zone="UTC")).values.is_not_null()
        said = raw + f" (in {form.zone} clocks were put forward)"
        raw = said.zip_with(left_out, raw)
    return pl.select(pl.coalesce(found.dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ"), raw)).to_series()


class Survey:
    """What the values of a file's columns say of how they are written, over all blocks seen so far."""

    def __init__(self) -> None:
        self.numbers: dict[str, NumberEvidence] = {}
        self.dates: dict[str, DateEvidence] = {}

    def add(self, block: Block) -> None:
        """Take in a block of mapped columns."""
        for name in block.frame.columns:
            if name in NUMBERS:
                self.numbers[name] = self.numbers.get(name, NumberEvidence()) + number_evidence(block.frame[name])
            elif name in TIMES:
                self.dates[name] = self.dates.get(name, DateEvidence()) + date_evidence(block.frame[name])

    def is_plain(self) -> bool:
        """Whether everything seen has a decimal point and dates that begin with the year."""
        has_comma = any(each.comma or each.either_comma for each in self.numbers.values())
        return not has_comma and all(each == DateEvidence() for each in self.dates.values())

    def decide(
        self,
        stated: FileForm,
        usual: FileForm,
        path: Path,
        *,
        time_zone: str,
        store_zones: Mapping[str, str] | None = None,
    ) -> Reading:
        """How to read the file: as `stated`, else as its columns say, else as is `usual` for such files.

        Raises BadInput that names the option where a column could mean two things.
        """
        said = stated.time_zone or usual.time_zone
        zone = said or time_zone
        return Reading(
            {name: self._decimal(name, stated.decimal, usual.decimal, path) for name in self.numbers},
            self._times(stated, usual, path, zone),
            None if said else store_zones or {},
        )

    def _decimal(self, name: str, stated: str | None, usual: str | None, path: Path) -> str:
        if stated is not None:
            return stated
        own, whole = self.numbers[name], sum(self.numbers.values(), NumberEvidence())
        # A number written 1.500 next to amounts with a comma is a thousand and a half, or one and a half.
        is_open = own.style() is None or (own.either_point and not own.point and not own.comma)
        if not is_open:
            return own.style() or POINT
        style = whole.style()
        if own.point == own.comma == 0 and style == POINT and not own.either_comma:
            return POINT
        if usual is not None:
            return usual
        if style is None or (style == COMMA) != bool(own.either_comma):
            example = own.either_comma or own.either_point
            raise Unclear(
                f"{path}: column {name!r}: numbers such as {example} may have a decimal point or a decimal comma; "
                "say which with --decimal point or --decimal comma",
                option="decimal",
                choices=(POINT, COMMA),
            )
        return style

    def _times(self, stated: FileForm, usual: FileForm, path: Path, zone: str) -> TimeForm:
        if stated.date_format or usual.date_format:
            return TimeForm(format=stated.date_format or usual.date_format, zone=zone)
        whole = sum(self.dates.values(), DateEvidence())
        if stated.date_order is not None:
            return TimeForm(mark=whole.usual_mark(), order=stated.date_order, zone=zone)
        form = whole.form() or ((whole.usual_mark(), usual.date_order) if usual.date_order else None)
        if form is None:
            raise Unclear(
                f"{path}: dates such as {whole.example} may have the day or the month first; "
                f"say which with --date-order {DAY_FIRST} or --date-order {MONTH_FIRST}",
                option="date_order",
                choices=(DAY_FIRST, MONTH_FIRST),
            )
        return TimeForm(mark=form[0], order=form[1], zone=zone)


def survey(blocks: Iterable[Block]) -> Survey:
    """What all the blocks say."""
    found = Survey()
    for block in blocks:
        found.add(block)
    return found
