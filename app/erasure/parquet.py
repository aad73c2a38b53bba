"""One person in a Parquet table with a column of customers: their rows, and the table without them."""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.customers.keys import PersonKeys
from app.domain import JsonObject
from app.files import replace_whole_durably
from app.history.rows import ANONYMOUS_ID, CUSTOMER_ID

BATCH_ROWS = 65_536
"""So many rows are in memory at a time, each with all that a customer ever bought."""


def rows_of(path: Path, keys: PersonKeys) -> list[JsonObject]:
    """Their rows; none of a table without people."""
    ids = _ids(path, keys)
    if not ids:
        return []
    named = pl.any_horizontal(pl.col(name).is_in(sorted(values)) for name, values in ids.items())
    return documents(pl.scan_parquet(path).filter(named.fill_null(False)).collect(engine="streaming"))


def erase_rows(path: Path, keys: PersonKeys, *, staging_dir: Path | None = None) -> int:
    """Takes their rows out, whoever reads the table meanwhile; returns how many. The caller keeps writers away."""
    ids = _ids(path, keys)
    if not ids:
        return 0
    gone = len(rows_of(path, keys))
    if gone:
        replace_whole_durably(path, lambda unfinished: _write_without(path, unfinished, ids), staging_dir=staging_dir)
    return gone


def documents(frame: pl.DataFrame) -> list[JsonObject]:
    """The rows in plain JSON types; instants as text."""
    rows: list[JsonObject] = orjson.loads(frame.write_json())
    return rows


def _ids(path: Path, keys: PersonKeys) -> dict[str, frozenset[str]]:
    columns = pl.read_parquet_schema(path)
    given = {CUSTOMER_ID: keys.customer_ids, ANONYMOUS_ID: keys.anonymous_ids}
    return {name: values for name, values in given.items() if name in columns}


def _write_without(source: Path, target: Path, ids: dict[str, frozenset[str]]) -> None:
    with pq.ParquetFile(source) as file:
        # What the footer notes besides the columns, as of which history they are.
        noted = {name: value for name, value in file.metadata.metadata.items() if name != b"ARROW:schema"}
        with pq.ParquetWriter(target, file.schema_arrow.with_metadata(noted), compression="zstd") as writer:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                writer.write_batch(_others(batch, ids))


def _others(batch: Any, ids: dict[str, frozenset[str]]) -> Any:
    for name, values in ids.items():
        column = batch[name]
        batch = batch.filter(pc.invert(pc.is_in(column, pa.array(sorted(values), column.type))))
    return batch
