"""Tables in Parquet."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import BadInput
from app.imports.reading.block import BLOCK_ROWS, Block, TableFile, first_line, frame_rows
from app.imports.reading.names import check_compulsory, column_names


def open_parquet(path: Path, *, compulsory: Collection[str], wanted: Collection[str] | None) -> TableFile:
    """The Parquet table at `path`; raises BadInput when it is damaged or a needed column holds lists.

    Columns of lists that nobody named are left out of `wanted` = None.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: is not sound Parquet ({first_line(error)}); write the file again") from None
    names = file.schema_arrow.names
    columns = column_names(path, names, needed=[*compulsory, *(wanted or ())])
    check_compulsory(path, columns, compulsory)
    read, notes = {}, []
    for name, column in zip(names, columns, strict=True):
        is_nested = pa.types.is_nested(file.schema_arrow.field(name).type)
        is_needed = column in compulsory if wanted is None else column in wanted
        if is_nested and is_needed:
            raise BadInput(f"{path}: column {name!r} holds lists or structs; give one plain value a row")
        if is_nested and wanted is None:
            notes.append(f"column {name!r} holds lists or structs and is left out")
        elif wanted is None or is_needed:
            read[name] = column
    return TableFile(path, columns, file.metadata.num_rows, _blocks(path, file, read), tuple(notes))


def _blocks(path: Path, file: pq.ParquetFile, read: dict[str, str]) -> Iterator[Block]:
    done = 0
    batches = file.iter_batches(batch_size=BLOCK_ROWS, columns=list(read))
    with file:
        for batch in _sound(path, batches):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            frame = _as_text(path, frame.rename(read))
            lines = np.arange(done + 1, done + frame.height + 1)
            done += frame.height
            yield Block(frame, lines, frame_rows(frame), (), done)


def _as_text(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Bytes as the text that they are: some programs write text without saying so."""
    for name in frame.select(pl.col(pl.Binary)).columns:
        try:
            frame = frame.with_columns(pl.col(name).cast(pl.String))
        except pl.exceptions.ComputeError:
            raise BadInput(f"{path}: column {name!r} holds bytes that are no UTF-8; write it as text") from None
    return frame


def _sound(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: is not sound Parquet ({first_line(error)}); write the file again") from None
