"""Import products and stores: tables of one row per id, where a later file overrules an earlier one."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

import polars as pl

from app.files import replace_atomically
from app.imports import values
from app.imports.checked import check
from app.imports.reading.table_file import Block, TableFile, open_table
from app.imports.report import ImportReport, Rejects
from app.imports.values import ParsedColumn
from app.model.content import LISTED_AT
from app.ports import StageProgress
from app.settings import Settings

MONEY = {"price": "price_minor", "unit_cost": "unit_cost_minor"}
RECOMMENDABLE = "recommendable"


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """A table of its own file, one row per `key`."""

    table: str
    key: str
    notes_arrival: bool


PRODUCTS = ReferenceTable("products", "product_id", notes_arrival=True)
STORES = ReferenceTable("stores", "store_id", notes_arrival=False)


def import_products(settings: Settings, path: Path, *, now: datetime, progress: StageProgress) -> ImportReport:
    """Put the products of `path` into tables/products.parquet; raises BadInput when the file is unusable."""
    file = open_table(path, compulsory=[PRODUCTS.key])
    return import_catalogue(settings, file, PRODUCTS, now=now, progress=progress)


def import_stores(settings: Settings, path: Path, *, now: datetime, progress: StageProgress) -> ImportReport:
    """Put the stores of `path` into tables/stores.parquet; raises BadInput when the file is unusable."""
    file = open_table(path, compulsory=[STORES.key])
    return import_catalogue(settings, file, STORES, now=now, progress=progress)


def import_catalogue(
    settings: Settings, file: TableFile, catalogue: ReferenceTable, *, now: datetime, progress: StageProgress
) -> ImportReport:
    """The same for an open table. A column that the file lacks keeps its stored values; an empty value clears."""
    begun_s = perf_counter()
    with Rejects(settings.rejects_dir, table=catalogue.table, source=file.path) as rejects:
        frames: list[pl.DataFrame] = []
        for block in file.blocks:
            checked = check(block, _parsed(block, catalogue, default_currency=settings.currency))
            frames.append(checked.frame.rename(MONEY, strict=False))
            rejects.add(checked.rejects)
            progress(block.done, file.total)
        rows = pl.concat(frames, how="vertical") if frames else pl.DataFrame(schema={catalogue.key: pl.String})
        changed = _upsert(settings.tables_dir / f"{catalogue.table}.parquet", rows, catalogue, now=now)
        return ImportReport(
            table=catalogue.table,
            rows_read=rows.height + rejects.rows,
            rows_added=changed,
            rows_known=rows.height - changed,
            rows_rejected=rejects.rows,
            rejects_path=rejects.finish(),
            seconds=perf_counter() - begun_s,
            ignored_columns=tuple(name for name in file.columns if _is_ignored(name, file.columns)),
        )


def _is_ignored(name: str, columns: Sequence[str]) -> bool:
    """Reserved columns, and a currency without any amount."""
    return _is_reserved(name) or (name == "currency" and not any(money in columns for money in MONEY))


def _is_reserved(name: str) -> bool:
    """Columns that the import makes itself, and nameless ones."""
    return name in (*MONEY.values(), LISTED_AT) or name.startswith("column ")


def _parsed(block: Block, catalogue: ReferenceTable, *, default_currency: str) -> dict[str, ParsedColumn]:
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
        elif name == RECOMMENDABLE:
            parsed[name] = values.yes_or_no(frame[name])
        elif name != catalogue.key and not _is_reserved(name):
            parsed[name] = ParsedColumn(values.text(frame[name]))
    return parsed


def _price(raw: pl.Series, currency: pl.Series) -> ParsedColumn:
    price = values.money(raw, currency)
    return ParsedColumn(price.values, [*price.faults, ("negative", price.values < 0)])


def _upsert(path: Path, rows: pl.DataFrame, catalogue: ReferenceTable, *, now: datetime) -> int:
    """Write the table with `rows` in it, the last of each key winning; returns how many rows are new or other."""
    key = catalogue.key
    latest = rows.unique(key, keep="last")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Read, merged and written under one lock: two imports at once would undo each other's rows.
    with sole_writer(path):
        stored = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema={key: pl.String})
        kept = [name for name in stored.columns if name not in latest.columns]
        merged = latest.join(stored.select(key, *kept), on=key, how="left")
        changed = _changed(merged, stored)
        if changed or not path.exists():
            if catalogue.notes_arrival and stored.height:
                merged = _dated(merged, stored[key], now=now)
            others = stored.join(merged, on=key, how="anti")
            replace_atomically(path, pl.concat([others, merged], how="diagonal").sort(key).write_parquet)
    return changed


def _dated(merged: pl.DataFrame, known: pl.Series, *, now: datetime) -> pl.DataFrame:
    """The rows, those that join a table with `known` keys dated `now`; what came with the first file is no news."""
    is_new = ~merged[known.name].is_in(known.implode())
    if not is_new.any():
        return merged
    before = pl.col(LISTED_AT) if LISTED_AT in merged.columns else pl.lit(None, pl.Datetime("us", "UTC"))
    arrival = pl.lit(now, pl.Datetime("us", "UTC"))
    return merged.with_columns(pl.when(is_new).then(arrival).otherwise(before).alias(LISTED_AT))


def _changed(merged: pl.DataFrame, stored: pl.DataFrame) -> int:
    if set(merged.columns) != set(stored.columns):
        return merged.height
    # Otherwise two empty values would count as a change.
    return merged.join(stored, on=merged.columns, how="anti", nulls_equal=True).height


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Keeps every other writer of this table out until the end."""
    # Never deleted: a writer that waits for a deleted file would lock out nobody.
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
