"""Which rows of the history are one person's: found by their ids, and taken out of a file of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.customers.keys import PersonKeys
from app.history.rows import ANONYMOUS_ID, CUSTOMER_ID, IMPORT_ID

BATCH_ROWS = 131_072
"""So many rows are in memory at a time: some 50 MB."""


class WithoutThem(NamedTuple):
    """A file without one person: rows that went and rows that stayed, and the first and last import of those."""

    gone_count: int
    kept_count: int
    first_import: str | None
    last_import: str | None
    unowned_count: int


def is_theirs(keys: PersonKeys) -> pl.Expr:
    """Their rows: those of the customer, and those that only an anonymous id names."""
    customer = pl.col(CUSTOMER_ID)
    alone = customer.is_null() & pl.col(ANONYMOUS_ID).is_in(list(keys.anonymous_ids))
    return (customer.is_in(list(keys.customer_ids)) | alone).fill_null(False)


def names_them(keys: PersonKeys) -> pl.Expr:
    """Theirs, and another customer's that have one of the anonymous ids, as from a shared device."""
    ids = pl.col(ANONYMOUS_ID).is_in(list(keys.anonymous_ids))
    return (pl.col(CUSTOMER_ID).is_in(list(keys.customer_ids)) | ids).fill_null(False)


def files_with(files: list[str], keys: PersonKeys) -> set[str]:
    """Those of the files that name the person anywhere. Costs reading two columns."""
    if not files:
        return set()
    found = pl.scan_parquet(files, include_file_paths="file", extra_columns="ignore", missing_columns="insert")
    named = found.filter(names_them(keys)).select("file").unique().collect(engine="streaming")
    return set(named["file"])


def write_without(source: Path, target: Path, keys: PersonKeys) -> WithoutThem:
    """Writes the file without their rows; others keep theirs, without the anonymous ids of this person."""
    gone = kept = unowned = 0
    imports: set[str] = set()
    with pq.ParquetFile(source) as file, _writer(target, file.schema_arrow) as writer:
        for rows in _batches(file):
            theirs, rows = _split(rows, keys)
            gone += theirs
            kept += rows.num_rows
            if IMPORT_ID in rows.column_names:
                owners = rows[IMPORT_ID]
                unowned += owners.null_count
                imports |= set(owners.unique().to_pylist()) - {None}
            else:
                unowned += rows.num_rows
            writer.write_table(rows)
    return WithoutThem(gone, kept, min(imports, default=None), max(imports, default=None), unowned)


def _writer(target: Path, schema: Any) -> Any:
    return pq.ParquetWriter(target, schema, compression="zstd", compression_level=1)


def _batches(file: Any) -> Iterator[Any]:
    return (pa.Table.from_batches([batch]) for batch in file.iter_batches(batch_size=BATCH_ROWS))


def _split(rows: Any, keys: PersonKeys) -> tuple[int, Any]:
    """How many are theirs, and the others."""
    customer, anonymous = rows[CUSTOMER_ID], rows[ANONYMOUS_ID]
    is_seen = pc.is_in(anonymous, pa.array(sorted(keys.anonymous_ids), anonymous.type))
    named = pc.is_in(customer, pa.array(sorted(keys.customer_ids), customer.type))
    theirs = pc.or_(named, pc.and_(pc.is_null(customer), is_seen))
    blanked = pc.if_else(is_seen, pa.scalar(None, anonymous.type), anonymous)
    position = rows.schema.get_field_index(ANONYMOUS_ID)
    others = rows.set_column(position, rows.schema.field(position), blanked).filter(pc.invert(theirs))
    return rows.num_rows - others.num_rows, others
