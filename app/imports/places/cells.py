"""Rows about products in stores on their way in: gathered on disk, so that a file may be longer than memory."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import polars as pl
import pyarrow as pa

from app.imports.checked import without_ignored
from app.imports.reading.block import Block, TableFile
from app.imports.report import Reject, Rejects
from app.imports.staging import opened_database
from app.ports import StageProgress

NUMBER, LINE = "number", "line"
"""Counts the rows, and says where they are in the file; one line may hold several."""
CELL = {"store_id": pl.String(), "product_id": pl.String()}


class StagedCells:
    """The sound rows of one file: store_id, product_id and the columns of `facts`.

    Its files lie below `room` (None: where the system keeps such files) and vanish when it is closed.
    """

    def __init__(self, room: Path | None, facts: Mapping[str, pl.DataType]) -> None:
        if room is not None:
            room.mkdir(parents=True, exist_ok=True)
        self._folder = TemporaryDirectory(prefix=".import-", dir=room)
        self._database = opened_database(Path(self._folder.name))
        self._schema = pl.Schema({NUMBER: pl.Int64(), LINE: pl.Int64(), **CELL, **facts})
        self._database.register("block", pl.DataFrame(schema=self._schema).to_arrow())
        self._database.execute("create table staged as select * from block")
        self._number = 0

    def close(self) -> None:
        """Forgets all rows."""
        self._database.close()
        self._folder.cleanup()

    def add(self, rows: pl.DataFrame, lines: pl.Series) -> None:
        """Takes rows, each with its line."""
        numbers = pl.int_range(self._number, self._number + rows.height, eager=True)
        block = rows.with_columns(numbers.alias(NUMBER), lines.alias(LINE)).select(self._schema.names())
        self._database.register("block", block.cast(self._schema).to_arrow())
        self._database.execute("insert into staged select * from block")
        self._number += rows.height

    def run(self, sql: str, **given: object) -> list[tuple[object, ...]]:
        """The rows of a query, or what a statement gives; `staged` is the table, and has what is not taken out."""
        return self._database.execute(sql, given or None).fetchall()

    def count(self) -> int:
        """How many rows there are."""
        found: int = self._database.execute("select count(*) from staged").fetchall()[0][0]
        return found

    def rows(self, sql: str, **given: object) -> Iterator[tuple[object, ...]]:
        """The rows of a query, in bounded memory; others may be run meanwhile."""
        found = self._database.cursor().sql(sql, params=given or None)
        for batch in pa.RecordBatchReader.from_stream(found):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def taken_out(self, numbers: str, *, shown: str, reason: str) -> Iterator[Reject]:
        """Takes the rows with these numbers out, each refused for its product; `shown` of it is listed."""
        self.run(f"create or replace table taken as {numbers}")
        wanted = f"from staged semi join taken using ({NUMBER}) order by {NUMBER}"
        for line, product_id, raw in self.rows(f"select {LINE}, product_id, to_json({{{shown}}}) {wanted}"):
            assert isinstance(line, int)
            yield Reject(line, "product_id", str(product_id), reason, str(raw))
        self.run(f"delete from staged where {NUMBER} in (select {NUMBER} from taken)")


class StagedFile(ABC):
    """The sound rows of one file about products in stores, gathered before anything is written. Use as a context."""

    def __init__(self, room: Path | None, facts: Mapping[str, pl.DataType]) -> None:
        self._cells = StagedCells(room, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cells.close()

    def count(self) -> int:
        """The sound rows."""
        return self._cells.count()

    @abstractmethod
    def add(self, block: Block, *, now: datetime) -> Sequence[Reject]:
        """Takes the block's sound rows; returns what is wrong with the others."""

    @abstractmethod
    def contradictions(self) -> Iterator[Reject]:
        """Takes out rows of which nobody knows which is right."""

    def take_in(self, file: TableFile, rejects: Rejects, *, now: datetime, progress: StageProgress) -> Counter[str]:
        """Takes the whole file; how many rows were left out, by the reason."""
        left_out: Counter[str] = Counter()
        for block in file.blocks:
            kept, left_out_here = without_ignored(block)
            left_out += left_out_here
            rejects.add(self.add(kept, now=now))
            progress(block.done, file.total)
        rejects.add(self.contradictions())
        return left_out
