"""Import products and stores: tables of one row per id, where a later file overrules an earlier one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import polars as pl

from app.imports import values
from app.imports.checked import LeftOut, check, without_ignored
from app.imports.journal.applied import journal_of
from app.imports.journal.records import BY_NOBODY, ImportRecord, Intake, check_replaceable, new_record
from app.imports.journal.reports import report_of
from app.imports.places.stores import checked_as_stores, put_into_ledger
from app.imports.plan import Plan, as_read, opened, plan_of
from app.imports.reading.block import Block, TableFile
from app.imports.report import ImportReport, Rejects
from app.imports.values import ParsedColumn
from app.model.content import LISTED_AT
from app.ports import StageProgress
from app.settings import Settings
from app.stores.tables.layers import (
    PRODUCTS,
    STORES,
    LayeredTable,
    ReferenceTable,
    check_takeable,
    merged_rows,
)

MONEY = {"price": "price_minor", "unit_cost": "unit_cost_minor", "competitor_price": "competitor_price_minor"}
NAME = "name"
RECOMMENDABLE = "recommendable"
OF_PRODUCTS: Mapping[str, Callable[[pl.Series], ParsedColumn]] = {
    RECOMMENDABLE: values.yes_or_no,
    "age_restricted": values.age_limits,
    "image_url": values.links,
    "url": values.links,
    "rating": values.ratings,
    "rating_count": values.rating_counts,
}
"""The columns of products that have a form of their own."""


def import_reference(
    catalogue: ReferenceTable,
    settings: Settings,
    path: Path,
    *,
    now: datetime,
    progress: StageProgress,
    plan: Plan | None = None,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Put the rows of `path` into the table's file below tables/; raises BadInput when the file is unusable."""
    plan = plan or plan_of(path, catalogue.table, time_zone=settings.time_zone)
    return import_catalogue(settings, opened(plan), catalogue, now=now, progress=progress, intake=as_read(plan, intake))


import_products = partial(import_reference, PRODUCTS)
import_stores = partial(import_reference, STORES)


def import_catalogue(
    settings: Settings,
    file: TableFile,
    catalogue: ReferenceTable,
    *,
    now: datetime,
    progress: StageProgress,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """The same for an open table. A column that the file lacks keeps its stored values; an empty value clears."""
    begun_s = perf_counter()
    with Rejects(settings.rejects_dir, table=catalogue.table, source=file.path) as rejects:
        frames: list[pl.DataFrame] = []
        left_out: Counter[str] = Counter()
        doubtful = LeftOut()
        for block in file.blocks:
            kept, ignored_here = without_ignored(block)
            left_out += ignored_here
            parsed = parse_rows(kept, catalogue, default_currency=settings.currency)
            doubtful.add(kept, parsed)
            checked = check(kept, parsed)
            frames.append(checked.frame.rename(MONEY, strict=False))
            rejects.add(checked.rejects)
            progress(block.done, file.total)
        rows = pl.concat(frames, how="vertical") if frames else pl.DataFrame(schema={catalogue.key: pl.String})
        record = new_record(catalogue.table, file, rejects.content, intake, currency=settings.currency, now=now)
        record = replace(record, rows_read=rows.height + rejects.rows, rows_rejected=rejects.rows)
        changed = _store(settings, rows, record, intake, catalogue=catalogue, now=now)
        report = report_of(record, rejects, file, added=changed, begun_s=begun_s, left_out=left_out)
        ignored = tuple(name for name in file.columns if _is_ignored(name, file.columns, catalogue))
        if catalogue is STORES and rows.height:
            latest = rows.unique(STORES.key, keep="last", maintain_order=True)
            report = replace(report, notes=(*report.notes, put_into_ledger(settings, latest, now=now)))
        return replace(report, ignored_columns=ignored, warnings=doubtful.warnings())


def _is_ignored(name: str, columns: Sequence[str], catalogue: ReferenceTable) -> bool:
    """Reserved columns, and a currency without any amount, unless it is that of a store."""
    is_of_nothing = catalogue is not STORES and not any(money in columns for money in MONEY)
    return _is_reserved(name) or (name == "currency" and is_of_nothing)


def _is_reserved(name: str) -> bool:
    """Columns that the import makes itself, and nameless ones."""
    return name in (*MONEY.values(), LISTED_AT) or name.startswith("column ")


def parse_rows(block: Block, catalogue: ReferenceTable, *, default_currency: str) -> dict[str, ParsedColumn]:
    """Each column of the block in its type, with the faults of its values."""
    frame = block.frame
    given = (
        frame["currency"] if "currency" in frame.columns else pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    )
    currency = values.currencies(given, default=default_currency)
    parsed: dict[str, ParsedColumn] = {catalogue.key: values.identifiers(frame[catalogue.key], compulsory=True)}
    # Amounts mean nothing without it, and it nothing without amounts: alone it would give stored ones another meaning.
    if any(name in MONEY for name in frame.columns):
        parsed["currency"] = currency
    for name in frame.columns:
        if name == "currency":
            continue
        if name in MONEY:
            parsed[name] = _price(frame[name], currency.values)
        elif catalogue == PRODUCTS and name in OF_PRODUCTS:
            parsed[name] = OF_PRODUCTS[name](frame[name])
        elif name == NAME:
            parsed[name] = ParsedColumn(values.words(frame[name]))
        elif name != catalogue.key and not _is_reserved(name):
            parsed[name] = ParsedColumn(values.text(frame[name]))
    return checked_as_stores(frame, parsed) if catalogue is STORES else parsed


def _price(raw: pl.Series, currency: pl.Series) -> ParsedColumn:
    price = values.money(raw, currency)
    return ParsedColumn(price.values, [*price.faults, ("negative", price.values < 0)])


def _store(
    settings: Settings,
    rows: pl.DataFrame,
    record: ImportRecord,
    intake: Intake,
    *,
    catalogue: ReferenceTable,
    now: datetime,
) -> int:
    """Lays the rows over the table, the last of each key winning; returns how many are new or other."""
    journal, table = journal_of(settings), LayeredTable(settings.tables_dir, catalogue)
    latest = rows.unique(catalogue.key, keep="last")
    # Read, merged and written under one lock: two imports at once would undo each other's rows.
    with journal.held() as live, table.held():
        old = check_replaceable(intake, record, live, journal=journal)
        stored = table.stored()
        changed = _changed(merged_rows(stored, latest, catalogue.key), stored)
        brings = bool(rows.height) and all(one.import_id != record.import_id for one in live)
        if not changed and not brings and old is None and table.layers().stack:
            return 0
        record = replace(record, rows_added=changed, rows_known=rows.height - changed)
        journal.write(journal.placed(record, live, instead_of=old))
        if old is None:
            table.put(latest, record.import_id, now=now)
        else:
            check_takeable(catalogue, table.layers(), old.import_id)
            journal.write(replace(old, ended_at=now.isoformat(), replaced_by=record.import_id))
            table.put_in_place(latest, record.import_id, of=old.import_id)
    return changed


def _changed(merged: pl.DataFrame, stored: pl.DataFrame) -> int:
    if set(merged.columns) != set(stored.columns):
        return merged.height
    # Otherwise two empty values would count as a change.
    return merged.join(stored, on=merged.columns, how="anti", nulls_equal=True).height
