"""Rows of a table of stores: checked as stores, and put into the ledger, where stock, prices and decisions look."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import polars as pl

from app.composition.stores import opened_ledger
from app.imports.columns.words import without_missing
from app.imports.values import ParsedColumn, text
from app.places.documents import InvalidStore
from app.places.hours import UnknownRegion, check_region
from app.places.store_rows import COLUMNS, store_of_row
from app.settings import Settings
from app.stores.sql.places.stores import put_store_rows

KEY = COLUMNS[0]


def checked_as_stores(frame: pl.DataFrame, parsed: Mapping[str, ParsedColumn]) -> dict[str, ParsedColumn]:
    """The parsed columns of a table of stores, and the faults for which rows of `frame` are none."""
    facts = _facts(frame)
    whole = dict(parsed) | {name: ParsedColumn(facts[name]) for name in facts.columns if name not in parsed}
    for (column, reason), rows in _faulty_rows(facts).items():
        if column not in facts.columns:
            column, reason = KEY, f"{column}: {reason}"
        mask = pl.repeat(False, frame.height, eager=True).scatter(rows, True)
        whole[column] = ParsedColumn(whole[column].values, [*whole[column].faults, (reason, mask)])
    return whole


def put_into_ledger(settings: Settings, rows: pl.DataFrame, *, now: datetime) -> str:
    """Puts the stores of these sound rows into the ledger; returns in words how many that changed."""
    facts = _facts(rows).rows(named=True)
    with opened_ledger(settings) as ledger:
        changed = ledger.write(partial(put_store_rows, rows=facts, time_zone=settings.time_zone, now=now))
    return f"{changed:,} of {rows.height:,} stores are new or changed where stock, prices and decisions look them up"


def _facts(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that say something of a store, as text."""
    return pl.DataFrame({name: without_missing(text(frame[name])) for name in COLUMNS if name in frame.columns})


def _faulty_rows(facts: pl.DataFrame) -> dict[tuple[str, str], list[int]]:
    """Rows by the column and the reason for which they are no stores, whatever their ids."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(facts.iter_rows(named=True)):
        said = {name: value for name, value in row.items() if value and name != KEY}
        if said and (fault := _fault(said)) is not None:
            found.setdefault(fault, []).append(number)
    return found


def _fault(said: Mapping[str, str]) -> tuple[str, str] | None:
    try:
        store = store_of_row({KEY: "any", **said})
        if store.holiday_region is not None:
            check_region(store.holiday_region)
    except UnknownRegion as error:
        return "holiday_region", error.message
    except InvalidStore as error:
        # Its message begins with the column, or with the way to the fault in it.
        place, _, reason = error.message.partition(": ")
        column, _, further = place.partition("/")
        return column, f"{further}: {reason}" if further else reason
    return None
