"""Read the further files of a mapping, which stand next to the one that is imported."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from app.errors import BadInput
from app.imports.mapping.apply import Lookup, key_of
from app.imports.mapping.model import Days, Join, Mapping
from app.imports.reading.table_file import open_table, whole


def lookups_of(path: Path, columns: Sequence[str], mapping: Mapping) -> tuple[Lookup, ...]:
    """The files that the mapping names, next to `path`; raises BadInput where one is missing."""
    return tuple(
        _lookup(path, join) for join in mapping.with_ if join.unless is None or join.unless.lower() not in columns
    )


def _lookup(path: Path, join: Join) -> Lookup:
    there = path.parent / join.file
    # Any packing, and in any case of letters.
    found = sorted(each for each in path.parent.glob("*") if each.name.lower().startswith(join.file.lower()))
    if not found:
        raise BadInput(
            f"{path}: needs {join.file} next to it, for each row's {' and '.join(join.on)}; put {there} there"
        )
    on = tuple(name.lower() for name in join.on)
    theirs = tuple(name.lower() for name in (join.to or join.on))
    frame = whole(open_table(found[0], compulsory=theirs)).frame.rename(dict(zip(theirs, on, strict=True)))
    frame = frame.with_columns(key_of(frame[name]).alias(name) for name in on)
    if join.days is not None:
        frame = frame.with_columns(_dates(frame, join.days).alias(join.days.as_.lower()))
    return Lookup(on, frame.unique(list(on), keep="last", maintain_order=True))


def _dates(frame: pl.DataFrame, days: Days) -> pl.Series:
    """The date of each row, as text: the first of its group, and so many days later for each further one."""
    number = pl.col(days.order.lower()).cast(pl.Float64, strict=False)
    between = pl.col(days.column.lower()).cast(pl.Float64, strict=False).fill_null(0.0)
    passed = between.cum_sum().over(days.group.lower(), order_by=number)
    first = pl.lit(date.fromisoformat(days.first))
    return frame.select((first + pl.duration(days=passed.cast(pl.Int64))).cast(pl.Date).cast(pl.String)).to_series()
