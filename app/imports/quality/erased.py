"""People who were erased stay out: no file brings their rows in again, and no list of refused rows repeats them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import polars as pl

from app.history.rows import ANONYMOUS_ID, CUSTOMER_ID
from app.imports import values
from app.imports.reading.block import Block
from app.imports.reading.json_table import JsonObject
from app.imports.report import ImportReport

ERASED = "erased"
EXAMPLE = "rows of people who were erased, which no list repeats"

IsErased = Callable[[pl.DataFrame], pl.Series]
"""For each row whether its `customer_id` or its `anonymous_id` (strings, null = none) is of somebody who was erased."""


def nobody(people: pl.DataFrame) -> pl.Series:
    """No one was ever erased."""
    return pl.repeat(False, people.height, dtype=pl.Boolean, eager=True)


def without_erased(block: Block, is_erased: IsErased) -> tuple[Block, int]:
    """The block without their rows, sound or not, and how many those are."""
    if is_erased is nobody:
        return block, 0
    frame = block.frame
    ids = {name: frame[name] for name in (CUSTOMER_ID, ANONYMOUS_ID) if name in frame.columns}
    absent = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    people = {name: values.identifiers(ids[name]).values if name in ids else absent for name in _NAMES}
    kept = ~_mask(pl.DataFrame(people), is_erased)
    if kept.all():
        return block, 0
    rows = kept.arg_true().to_numpy()
    left = replace(block, frame=frame.filter(kept), lines=block.lines[rows], raw=lambda row: block.raw(int(rows[row])))
    return left, frame.height - left.frame.height


def without_erased_objects(batch: Sequence[JsonObject], is_erased: IsErased) -> tuple[list[JsonObject], int]:
    """The same of JSON objects, by the ids that they give."""
    if is_erased is nobody:
        return list(batch), 0
    ids = [{name: _text((each.value or {}).get(name)) for name in _NAMES} for each in batch]
    people = pl.DataFrame(ids, schema=dict.fromkeys(_NAMES, pl.String))
    kept = [each for each, is_gone in zip(batch, _mask(people, is_erased), strict=True) if not is_gone]
    return kept, len(batch) - len(kept)


def reported(report: ImportReport, count: int) -> ImportReport:
    """The report with so many rows among the refused ones, which it counts already, as those of erased people."""
    if not count:
        return report
    return replace(report, reasons={**report.reasons, ERASED: count}, examples={**report.examples, ERASED: EXAMPLE})


_NAMES = (CUSTOMER_ID, ANONYMOUS_ID)


def _mask(people: pl.DataFrame, is_erased: IsErased) -> pl.Series:
    # Each pair is looked up one time, however many rows it has.
    pairs = people.unique(maintain_order=True)
    found = pairs.with_columns(is_erased(pairs).alias(ERASED))
    return people.join(found, on=list(_NAMES), how="left", nulls_equal=True, maintain_order="left")[ERASED]


def _text(value: object) -> str | None:
    """The id as an event's field is read: without blanks around it, a number as text."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
