"""What a mapping file may say: how a retailer's file becomes one of Endcap's tables."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.imports.columns.dates import EXCEL
from app.offers.terms.time_zones import is_zone

Table = Literal[
    "transactions",
    "events",
    "products",
    "stores",
    "stock",
    "prices",
    "campaigns",
    "offers",
    "audience",
    "redemptions",
    "promotions",
]

Kind = Literal[
    "purchase",
    "refund",
    "view_item",
    "select_item",
    "add_to_cart",
    "remove_from_cart",
    "add_to_wishlist",
    "ignored",
]
"""What a row may be: an event's type, or nothing that was bought."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_rule(value: object) -> object:
    return {"column": value} if isinstance(value, str | list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""One name or a list of them."""


def _checked_format(format: str | None) -> str | None:
    """Formats that a date can be written in and read back from."""
    if format in (None, EXCEL):
        return format
    with suppress(pl.exceptions.PolarsError):
        written = pl.Series([datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)]).dt.strftime(str(format))
        if written.str.to_datetime(format, strict=False).null_count() == 0:
            return format
    raise ValueError("not a format of dates; write for example %d.%m.%Y %H:%M, or excel")


def _checked_zone(zone: str | None) -> str | None:
    if zone is not None and not is_zone(zone):
        raise ValueError(f"no time zone {zone!r}; write for example Europe/Berlin")
    return zone


def _checked_pattern(pattern: str | None) -> str | None:
    try:
        pl.Series([""]).str.contains(pattern or "")
    except pl.exceptions.PolarsError:
        raise ValueError("not a regular expression") from None
    return pattern


Zone = Annotated[str | None, AfterValidator(_checked_zone)]
DateFormat = Annotated[str | None, AfterValidator(_checked_format)]
Pattern = Annotated[str | None, AfterValidator(_checked_pattern)]


class FileForm(_Part):
    """How the file is written; what is absent is found in it."""

    encoding: str | None = None
    separator: str | None = None
    columns: tuple[str, ...] | None = None
    skip_lines: int | None = Field(default=None, ge=0)
    sheet: str | None = None
    explode: str | None = None
    decimal: Literal["point", "comma"] | None = None
    date_order: Literal["day-first", "month-first"] | None = None  # as DAY_FIRST and MONTH_FIRST
    date_format: DateFormat = None
    time_zone: Zone = None


class ColumnRule(_Part):
    """Where one of Endcap's columns comes from: just one of `column`, `constant`, `join` and `product`."""

    column: Names = ()
    """The first of these that has a value in the row."""
    constant: str | None = None
    join: tuple[Names, ...] = ()
    """Columns put together, as date and time."""
    separator: str = " "
    product: tuple[Names, ...] = Field(default=(), max_length=2)
    """Two columns multiplied, as unit price and quantity."""
    values: dict[str, str] = {}
    """Other words for what the column holds; "*" for all that are not named."""
    missing: tuple[str, ...] = ()
    """Further words for no value."""
    match: Pattern = None
    """A regular expression that the whole value has to match: its first group is the value, anything else is none."""
    strip: Pattern = None
    """A regular expression: what of the value matches it is taken away."""
    prefix: str = ""
    suffix: str = ""

    @model_validator(mode="after")
    def _has_one_origin(self) -> "ColumnRule":
        given = [bool(self.column), self.constant is not None, bool(self.join), bool(self.product)]
        if sum(given) != 1:
            raise ValueError("give just one of column, constant, join and product")
        if len(self.product) == 1:
            raise ValueError("a product is of two columns")
        return self

    def sources(self) -> tuple[str, ...]:
        """The columns of the file that it reads."""
        return (*self.column, *(name for names in (*self.join, *self.product) for name in names))


Rule = Annotated[ColumnRule, BeforeValidator(_as_rule)]


class RowRule(_Part):
    """What the words of a column say a row is; of several such columns the one that says least was bought decides."""

    column: str
    kinds: dict[Kind, Names] = {}
    """By kind (purchase, refund, view_item, ... or ignored) the words for it; "*" for any value."""
    otherwise: Kind | None = None
    """The kind of rows with other words, or without any; absent: what everybody uses is known, other words refused."""
    missing: Kind | None = None
    """The kind of rows without a value."""


class Filter(_Part):
    """Rows that are left out unless they fulfil it."""

    column: Names
    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    at_least: float | None = None
    why: str


class Fill(_Part):
    """Lines of an order under its head: an empty value is that of the row before, `within` an order."""

    columns: Names
    within: Names
    """The first of these that the file has names the order; where it is empty the order goes on."""


class Split(_Part):
    """A column that lists several products: a row for each."""

    column: str
    separator: str
    pattern: Pattern = None
    """A regular expression whose named groups are columns of the row."""


class Join(_Part):
    """A further file whose columns are added to each row with the same key."""

    file: str
    on: Names
    to: Names = ()
    """The names of the key in that file, where they differ."""
    unless: str | None = None
    """A column: where the file has it, the further one is not needed."""
    days: "Days | None" = None


class Days(_Part):
    """A date made of the days between the rows of a group, as Instacart has them; a column named `as_`."""

    column: str
    group: str
    order: str
    first: str
    """The date of the first row of each group."""
    as_: str = Field(alias="as")


class Mapping(_Part):
    """A whole mapping; `mapping` is the version of this form."""

    mapping: Literal[1]
    name: str
    table: Table
    title: str = ""
    detect: tuple[tuple[str, ...], ...] = ()
    """Sets of columns by any of which a file is known to be this."""
    file: FileForm = FileForm()
    columns: dict[str, Rule] = {}
    rows: tuple[RowRule, ...] = ()
    keep: tuple[Filter, ...] = ()
    fill: Fill | None = None
    split: Split | None = None
    with_: tuple[Join, ...] = Field(default=(), alias="with")
    notes: tuple[str, ...] = ()
    """What a person should know of what becomes of such files."""
    refuse: str | None = None
    """Why such files do not come in, and which do instead."""

    def sources(self) -> frozenset[str]:
        """The columns of the file that it reads, lower case."""
        read = [name for rule in self.columns.values() for name in rule.sources()]
        read += [rule.column for rule in self.rows] + [name for each in self.keep for name in each.column]
        if self.fill is not None:
            read += [*self.fill.columns, *self.fill.within]
        read += [name for join in self.with_ for name in join.on]
        if self.split is not None:
            read.append(self.split.column)
        return frozenset(name.strip().lower() for name in read)
