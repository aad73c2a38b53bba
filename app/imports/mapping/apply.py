"""Make rows of one of Endcap's tables of the rows of a retailer's file, as a mapping says."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as ByName
from contextlib import closing
from dataclasses import dataclass, replace

import polars as pl

from app.domain import PURCHASE, REFUND
from app.imports.columns.words import IGNORED, MISSING, row_kinds
from app.imports.mapping.model import ColumnRule, Filter, Mapping, RowRule, Split
from app.imports.reading.block import Block, TableFile

KIND = "row kind"
"""The column that holds what a row is, where the file says so."""
WORD = "type"
"""The word by which a row is refused, where nobody knows what it says that the row is."""
TIMES = " ×"
"""Behind the name of a column: what its value is multiplied with."""
LEFT_OUT = "left out because"

_ORIGIN = "row of the file"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A further file of a mapping, with one row a key, whose columns have the same names in both files."""

    on: tuple[str, ...]
    frame: pl.DataFrame


def mapped(file: TableFile, mapping: Mapping, *, keeps: bool, lookups: Sequence[Lookup] = ()) -> TableFile:
    """The file with the mapping's columns; `keeps` all columns that no rule reads, as products do."""
    columns = tuple(mapping.columns) if not keeps else (*mapping.columns, *_further(file.columns, mapping))
    work = _Work(mapping, keeps=keeps, lookups=lookups)
    return replace(file, columns=columns, blocks=work.blocks(file))


def _further(columns: Sequence[str], mapping: Mapping) -> list[str]:
    read = mapping.sources()
    return [name for name in columns if name not in read and name not in mapping.columns]


class _Work:
    """A mapping on its way through a file; remembers what the next block's first rows are filled with."""

    def __init__(self, mapping: Mapping, *, keeps: bool, lookups: Sequence[Lookup]) -> None:
        self._mapping = mapping
        self._keeps = keeps
        self._lookups = lookups
        self._last: dict[str, str] = {}

    def blocks(self, file: TableFile) -> Iterator[Block]:
        with closing(file):
            for block in file.blocks:
                yield self._mapped(block)

    def _mapped(self, block: Block) -> Block:
        frame = self._filled(block.frame).with_row_index(_ORIGIN)
        for lookup in self._lookups:
            keys = frame.with_columns(key_of(frame[name]).alias(name) for name in lookup.on)
            frame = keys.join(lookup.frame, on=list(lookup.on), how="left", maintain_order="left")
        reasons = [_reason(frame, each) for each in self._mapping.keep]
        if self._mapping.split is not None:
            frame = _split(frame, self._mapping.split)
        kinds, words = _kinds(frame, self._mapping.rows)
        columns = {name: self._column(frame, rule) for name, rule in self._mapping.columns.items()}
        made = pl.DataFrame([column.alias(name) for name, column in columns.items() if column is not None])
        for name, rule in self._mapping.columns.items():
            if rule.product:
                made = made.with_columns(_first_of(frame, rule.product[1]).alias(name + TIMES))
        if self._mapping.rows:
            made = made.with_columns(kinds.alias(KIND), words.alias(WORD))
        if self._keeps:
            made = made.with_columns(frame.select(_further(block.frame.columns, self._mapping)))
        origin = frame[_ORIGIN]
        if reasons:
            left_out = pl.select(pl.coalesce(reasons)).to_series().gather(origin)
            made = made.with_columns(left_out.alias(LEFT_OUT))
        return Block(made, block.lines[origin.to_numpy()], _raw_of(block, origin), block.broken, block.done)

    def _filled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame, empty values under the head of an order taken from it, also from the block before."""
        fill = self._mapping.fill
        there = frame.columns
        within = None if fill is None else next((name.lower() for name in fill.within if name.lower() in there), None)
        if fill is None or within is None or frame.is_empty():
            return frame
        names = [name.lower() for name in fill.columns if name.lower() in there and name.lower() != within]
        texts = frame.with_columns(_without(frame[name].cast(pl.String), ()).alias(name) for name in (within, *names))
        head = pl.DataFrame(
            {name: [self._last.get(name)] for name in (within, *names)},
            schema=dict.fromkeys((within, *names), pl.String()),
        )
        whole = pl.concat([head, texts.select(within, *names)]).with_columns(pl.col(within).forward_fill())
        order = pl.col(within).ne_missing(pl.col(within).shift()).cum_sum()
        filled = whole.with_columns(pl.col(name).forward_fill().over(order) for name in names)
        self._last = {name: value for name, value in filled.row(-1, named=True).items() if value is not None}
        return texts.with_columns(filled.slice(1).get_columns())

    def _column(self, frame: pl.DataFrame, rule: ColumnRule) -> pl.Series | None:
        column = _origin(frame, rule)
        if column is None:
            return None
        if rule.missing:
            column = _without(column, rule.missing)
        if rule.match is not None:
            column = column.cast(pl.String).str.strip_chars().str.extract(f"^(?:{rule.match})$")
        if rule.strip is not None:
            column = column.cast(pl.String).str.replace_all(rule.strip, "")
        if rule.values:
            column = _translated(column.cast(pl.String), rule.values)
        if rule.prefix or rule.suffix:
            column = rule.prefix + column.cast(pl.String) + rule.suffix
        return column


def _origin(frame: pl.DataFrame, rule: ColumnRule) -> pl.Series | None:
    if rule.constant is not None:
        return pl.repeat(rule.constant, frame.height, dtype=pl.String, eager=True)
    if rule.product:
        return _first_of(frame, rule.product[0])
    if rule.join:
        parts = [_first_of(frame, names).cast(pl.String).str.strip_chars() for names in rule.join]
        return pl.select(pl.concat_str(parts, separator=rule.separator)).to_series()
    return _first_of(frame, rule.column) if any(name.lower() in frame for name in rule.column) else None


def _first_of(frame: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """In each row the first value of these columns."""
    found = [frame[name.lower()] for name in names if name.lower() in frame]
    if len(found) < 2:
        return found[0] if found else _source(frame, names[0])
    return pl.select(pl.coalesce([_without(column.cast(pl.String), ()) for column in found])).to_series()


def key_of(column: pl.Series) -> pl.Series:
    """Ids as they are compared between files: 17 and 17.0 are one."""
    return column.cast(pl.String).str.strip_chars().str.replace(r"^(\d+)\.0+$", "$1")


def _source(frame: pl.DataFrame, name: str) -> pl.Series:
    if name.lower() in frame.columns:
        return frame[name.lower()]
    return pl.repeat(None, frame.height, dtype=pl.String, eager=True)


def _without(column: pl.Series, further: Sequence[str]) -> pl.Series:
    if column.dtype != pl.String:
        return column
    trimmed = column.str.strip_chars()
    return trimmed.set(trimmed.is_in([*MISSING, *further, ""]), None)


def _translated(column: pl.Series, values: ByName[str, str]) -> pl.Series:
    written = column.str.strip_chars().str.to_lowercase()
    named = {word.lower(): value for word, value in values.items() if word != "*"}
    found = written.replace_strict(named, default=None, return_dtype=pl.String)
    other = pl.lit(values["*"]) if "*" in values else column
    return pl.select(pl.when(found.is_not_null()).then(found).when(written.is_not_null()).then(other)).to_series()


def _reason(frame: pl.DataFrame, rule: Filter) -> pl.Series:
    """Why a row is left out; null where it is not."""
    column = _first_of(frame, rule.column)
    fails = pl.repeat(False, frame.height, eager=True)
    if rule.at_least is not None:
        fails = ~(column.cast(pl.Float64, strict=False) >= rule.at_least).fill_null(False)
    written = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    if rule.one_of:
        fails = fails | ~written.is_in([word.lower() for word in rule.one_of]).fill_null(False)
    if rule.none_of:
        fails = fails | written.fill_null("").is_in([word.lower() for word in rule.none_of])
    return pl.select(pl.when(fails).then(pl.lit(rule.why))).to_series()


def _split(frame: pl.DataFrame, split: Split) -> pl.DataFrame:
    name = split.column.lower()
    parts = frame[name].cast(pl.String).str.split(split.separator)
    each = frame.with_columns(parts.alias(name)).explode(name).with_columns(pl.col(name).str.strip_chars())
    if split.pattern is None:
        return each
    found = each[name].str.extract_groups(split.pattern).struct.unnest()
    return each.drop([column for column in found.columns if column in each.columns]).with_columns(found)


def _kinds(frame: pl.DataFrame, rules: Sequence[RowRule]) -> tuple[pl.Series, pl.Series]:
    """What each row is, and the word that nobody knows, if any; the column that says least was bought decides."""
    kinds, words = [], []
    for rule in rules:
        written = _without(_source(frame, rule.column).cast(pl.String), ())
        lower = written.str.to_lowercase()
        named = {word.lower(): kind for kind, listed in rule.kinds.items() for word in listed if word != "*"}
        kind = (
            lower.replace_strict(named, default=None, return_dtype=pl.String)
            if rule.kinds and rule.otherwise is not None
            else row_kinds(lower, named)
        )
        every = next((kind for kind, listed in rule.kinds.items() if "*" in listed), rule.otherwise)
        if every is not None:
            kind = pl.select(pl.coalesce(kind, pl.when(written.is_not_null()).then(pl.lit(every)))).to_series()
        absent = rule.missing or rule.otherwise
        if absent is not None:
            kind = pl.select(pl.when(written.is_null()).then(pl.lit(absent)).otherwise(kind)).to_series()
        if any(part in rule.column.lower() for part in ("status", "state")):
            # An order of which nothing was kept; a row of its own for what came back is of a type.
            kind = kind.set(kind == REFUND, IGNORED)
        kinds.append(kind)
        words.append(pl.select(pl.when(kind.is_null()).then(written.fill_null("(empty)"))).to_series())
    if not kinds:
        nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        return nothing, nothing
    least = [pl.any_horizontal(kind == which for kind in kinds) for which in (IGNORED, REFUND)]
    first = pl.coalesce(*kinds)
    decided = pl.when(least[0]).then(pl.lit(IGNORED)).when(least[1]).then(pl.lit(REFUND)).otherwise(first)
    return pl.select(decided.fill_null(PURCHASE)).to_series(), pl.select(pl.coalesce(*words)).to_series()


def _raw_of(block: Block, origin: pl.Series) -> Callable[[int], str]:
    return lambda row: block.raw(int(origin[row]))
