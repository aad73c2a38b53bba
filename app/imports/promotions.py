"""Import promotions: what is in a flyer or on display, where and when; one row per product, store and start."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import polars as pl
import pyarrow.parquet as pq

from app.files import replace_atomically
from app.imports import values
from app.imports.checked import check, columns_of, without_ignored
from app.imports.journal.applied import journal_of
from app.imports.journal.records import BY_NOBODY, Intake, new_record, recorded
from app.imports.journal.reports import report_of
from app.imports.plan import Plan, as_read, opened, plan_of
from app.imports.reading.block import Block, TableFile
from app.imports.report import ImportReport, Rejects
from app.imports.values import ParsedColumn
from app.model.promotions.table import DISPLAY, ENDS_AT, FILE, FLYER, KEY, SCHEMA, STARTS_AT, STORE_ID, runs
from app.ports import StageProgress
from app.settings import Settings

TABLE = "promotions"
DEFAULT_SPAN = timedelta(days=7)
NOT_SHOWN = ("0", "no", "none", "false", "n")
"""How files write that a product is not on display, or not in the flyer."""


def import_promotions(
    settings: Settings,
    path: Path,
    *,
    shift_days: int,
    now: datetime,
    progress: StageProgress,
    plan: Plan | None = None,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Put the promotions of `path` into tables/promotions.parquet; raises BadInput when the file is unusable."""
    plan = plan or plan_of(path, TABLE, time_zone=settings.time_zone)
    return import_promotion_rows(
        settings,
        opened(plan),
        shift_days=shift_days,
        now=now,
        progress=progress,
        intake=as_read(plan, intake),
    )


def import_promotion_rows(
    settings: Settings,
    file: TableFile,
    *,
    shift_days: int,
    now: datetime,
    progress: StageProgress,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """The same for an open table, its times moved by `shift_days`. The last row of a key counts, as in other tables."""
    begun_s = perf_counter()
    settings.tables_dir.mkdir(parents=True, exist_ok=True)
    rows, left_out = 0, Counter[str]()
    with (
        Rejects(settings.rejects_dir, table=TABLE, source=file.path) as rejects,
        TemporaryDirectory(prefix=".import-", dir=settings.data_dir) as staged,
    ):
        for number, block in enumerate(file.blocks):
            block, left_out_here = without_ignored(block)
            left_out += left_out_here
            checked = check(block, _parsed(block, shift=timedelta(days=shift_days)))
            checked.frame.write_parquet(Path(staged) / f"{number:08}.parquet", compression="lz4")
            rows += checked.frame.height
            rejects.add(checked.rejects)
            progress(block.done, file.total)
        record = new_record(TABLE, file, rejects.content, intake, currency=settings.currency, now=now)
        record = replace(record, rows_read=rows + rejects.rows, rows_rejected=rejects.rows)
        # Which keeps every other import out, also of this table, from here to its end.
        with recorded(journal_of(settings), record) as counted:
            changed = counted(_merge(settings.tables_dir / FILE, Path(staged)) if rows else 0)
        report = report_of(record, rejects, file, added=changed, begun_s=begun_s, left_out=left_out)
        return replace(report, shift_days=shift_days or None)


def _parsed(block: Block, *, shift: timedelta) -> dict[str, ParsedColumn]:
    column = columns_of(block)
    starts = _each_once(column(STARTS_AT), values.instants)
    given = _each_once(column(ENDS_AT), values.instants)
    start, end = starts.values, given.values.zip_with(given.values.is_not_null(), starts.values + DEFAULT_SPAN)
    return {
        "product_id": _each_once(column("product_id"), lambda raw: values.identifiers(raw, compulsory=True)),
        STORE_ID: _each_once(column(STORE_ID), values.identifiers),
        STARTS_AT: ParsedColumn(_utc(start, shift), [*starts.faults, ("missing", column(STARTS_AT).is_null())]),
        ENDS_AT: ParsedColumn(_utc(end, shift), [*given.faults, ("not after starts_at", end <= start)]),
        DISPLAY: _each_once(column(DISPLAY), _place),
        FLYER: _each_once(column(FLYER), _place),
    }


def _place(raw: pl.Series) -> ParsedColumn:
    """Where a product is shown, in the retailer's own words; null where it is not."""
    place = values.identifiers(raw)
    return ParsedColumn(place.values.set(place.values.str.to_lowercase().is_in(NOT_SHOWN), None), place.faults)


def _utc(naive: pl.Series, shift: timedelta) -> pl.Series:
    return (naive + shift).dt.replace_time_zone("UTC")


def _each_once(raw: pl.Series, parse: Callable[[pl.Series], ParsedColumn]) -> ParsedColumn:
    """The column as `parse` makes it from its distinct values: a table of millions of rows repeats few of them."""
    distinct = raw.unique(maintain_order=True)
    numbered = pl.DataFrame({"value": distinct}).with_row_index("place")
    place = pl.DataFrame({"value": raw}).join(
        numbered, on="value", how="left", nulls_equal=True, maintain_order="left"
    )["place"]
    parsed = parse(distinct)
    faults = [(reason, mask.gather(place)) for reason, mask in parsed.faults if mask.any()]
    # Numbers for text: of millions of rows these are hashed and compared in a tenth of the time.
    coded = parsed.values.cast(pl.Categorical) if parsed.values.dtype == pl.String else parsed.values
    return ParsedColumn(coded.gather(place), faults)


def _merge(path: Path, staged: Path) -> int:
    """Writes the table with the staged rows in it, start after start; returns how many rows are new or other."""
    new = pl.scan_parquet(staged / "*.parquet")
    stored = pl.scan_parquet(path) if path.exists() else pl.LazyFrame(schema=SCHEMA)
    changed = 0

    def write(unfinished: Path) -> None:
        nonlocal changed
        writer = None
        for first, last in runs(new, stored):
            within = pl.col(STARTS_AT).is_between(first, last)
            known = stored.filter(within).collect()
            latest = new.filter(within).collect().unique(KEY, keep="last", maintain_order=True)
            merged = latest.sort(STARTS_AT, maintain_order=True)
            if not merged.equals(known):
                changed += latest.join(known, on=SCHEMA.names(), how="anti", nulls_equal=True).height
                others = known.join(latest, on=KEY, how="anti", nulls_equal=True)
                merged = pl.concat([others, latest]).sort(STARTS_AT, maintain_order=True)
            table = merged.to_arrow()
            writer = writer or pq.ParquetWriter(unfinished, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()

    replace_atomically(path, write)
    return changed
