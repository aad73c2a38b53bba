"""Where an import gathers its rows, numbers equal ones and finds the new ones, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import duckdb
import polars as pl
import pyarrow as pa

from app.files import replace_atomically
from app.history.rows import (
    AMOUNT_MINOR,
    ANONYMOUS_ID,
    BASKET_ID,
    CHANNEL,
    COUPON_ID,
    CURRENCY,
    CUSTOMER_ID,
    DECISION_ID,
    DISCOUNT_MINOR,
    FROM_IMPORT,
    IMPORT_ID,
    PRODUCT_ID,
    QUANTITY,
    ROW_ID,
    SCHEMA,
    SESSION_ID,
    SOURCE,
    STORE_ID,
    TIME,
    TYPE,
)
from app.imports.quality.erased import IsErased, nobody

LINE = "line"
CONTENT = "content"
KEY = "content_key"

# Part of every row id ever written: neither the columns nor their order may change.
HASHED = (
    TYPE,
    TIME,
    CUSTOMER_ID,
    PRODUCT_ID,
    BASKET_ID,
    QUANTITY,
    AMOUNT_MINOR,
    CURRENCY,
    STORE_ID,
    CHANNEL,
    DISCOUNT_MINOR,
    COUPON_ID,
)
FURTHER = (SESSION_ID, ANONYMOUS_ID)
"""What came later and is hashed in where it is given."""
STAGED = pl.Schema({LINE: pl.Int64(), **{name: SCHEMA[name] for name in (*HASHED, *FURTHER)}, TIME: pl.Datetime("us")})
# No id may hold a control character, so two different rows never join to the same text.
UNIT_SEPARATOR = "\x1f"
# DuckDB's share; beyond it rows go to disk. The whole import then stays well below 2 GiB.
MEMORY_MAX = "400MB"


_HASHED_BLOCK = f"select * exclude ({KEY}), md5({KEY}) as {CONTENT} from block"


@dataclass(frozen=True, slots=True)
class Lookup:
    """How many distinct rows of an import the history lacks, has from this import, and has from elsewhere."""

    new: int
    own: int
    others: int


class StagedRows:
    """The rows of one import. Use as a context; its files live below `data_dir` and vanish at the end.

    Each kind fills the table `staged` and makes the relation `numbered` of it, with one row for each row_id.
    """

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._spill = TemporaryDirectory(prefix=".import-", dir=data_dir)
        self._database = opened_database(Path(self._spill.name))
        self.rows = 0
        self.distinct = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._spill.cleanup()

    @property
    def folder(self) -> Path:
        """Where what belongs to the rows may lie; it vanishes with them."""
        return Path(self._spill.name)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """The rows that a query of the relations of staged rows gives."""
        return self._database.execute(sql).fetchall()

    def times(self) -> tuple[datetime | None, datetime | None]:
        """The first and the latest time of all rows, naive UTC; None without times."""
        first, last = self._database.execute(f"select min({TIME}), max({TIME}) from staged").fetchall()[0]
        return first, last

    def drop(self, is_erased: IsErased) -> int:
        """Takes out the rows of people who were erased; returns how many."""
        if is_erased is nobody:
            return 0
        found = self._database.sql(f"select distinct {CUSTOMER_ID}, {ANONYMOUS_ID} from staged")
        people = pl.DataFrame(pa.RecordBatchReader.from_stream(found).read_all())
        gone = people.filter(is_erased(people))
        if gone.is_empty():
            return 0
        self._database.register("gone", gone.to_arrow())
        same = " and ".join(f"gone.{name} is not distinct from staged.{name}" for name in (CUSTOMER_ID, ANONYMOUS_ID))
        deleted = self._database.execute(f"delete from staged where exists (select 1 from gone where {same})")
        (count,) = deleted.fetchall()[0]
        self._database.unregister("gone")
        self.rows -= count
        self.distinct = self._database.execute("select count(*) from numbered").fetchall()[0][0]
        return int(count)

    def look_up(
        self, files: Sequence[str], *, import_id: str, gone: str | None = None, kept: Path | None = None
    ) -> Lookup:
        """Finds the rows that the history's `files` hold; those of import `gone` only where file `kept` has them."""
        self._database.execute(f"create or replace table held ({ROW_ID} varchar, {IMPORT_ID} varchar)")
        find = f"insert into held select {ROW_ID}, {IMPORT_ID} from read_parquet($files, union_by_name = true)"
        find += f" semi join numbered using ({ROW_ID})"
        if files:
            there = "" if gone is None else f" where {IMPORT_ID} is distinct from '{gone}'"
            self._database.execute(find + there, {"files": with_every_column(files, self.folder)})
        if kept is not None:
            self._database.execute(find, {"files": [str(kept)]})
        count = f"select count(*), count(*) filter ({IMPORT_ID} = $id) from held"
        held, own = self._database.execute(count, {"id": import_id}).fetchall()[0]
        return Lookup(new=self.distinct - held, own=own, others=held - own)

    def write_known(self, path: Path, *, import_id: str) -> None:
        """Writes the ids of the rows that were looked up and belong to others than this import."""
        known = f"select {ROW_ID} from held where {IMPORT_ID} is distinct from '{import_id}'"
        query = f"copy ({known}) to '{{}}' (format parquet, compression zstd)"
        replace_atomically(path, lambda unfinished: self._database.execute(query.format(unfinished)))

    def absent(self, *, shift_days: int = 0) -> Iterator[pl.DataFrame]:
        """In batches, in the file's order: the rows that were looked up and not found, times shifted."""
        found = self._database.cursor().sql(f"select * from numbered anti join held using ({ROW_ID}) order by {LINE}")
        for batch in pa.RecordBatchReader.from_stream(found):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield _as_history(frame, shift_days)


class LineStaging(StagedRows):
    """Till lines, whose ids are made of what they say."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        empty = pl.DataFrame(schema=STAGED)
        self._database.register("block", empty.with_columns(_content_key(empty)).to_arrow())
        self._database.execute(f"create table staged as {_HASHED_BLOCK}")

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows with the columns of `STAGED`."""
        # Their order, and not their lines: a line that lists several products is several rows.
        ordered = frame.with_columns(pl.int_range(self.rows, self.rows + frame.height).alias(LINE), _content_key(frame))
        self._database.register("block", ordered.to_arrow())
        self._database.execute(f"insert into staged by name {_HASHED_BLOCK}")
        self._database.unregister("block")
        self.rows += frame.height

    def number_rows(self) -> None:
        """Give equal rows of the file different ids: the n-th repetition hashes its number in."""
        # Only what is repeated is numbered: a window over all rows would sort all of them.
        self._database.execute(f"""
            create table repeated as
            select {LINE}, row_number() over (partition by {CONTENT} order by {LINE}) - 1 as occurrence
            from staged
            where {CONTENT} in (select {CONTENT} from staged group by {CONTENT} having count(*) > 1)
        """)
        # The first of equal rows keeps the plain hash, as it has in a file without the others.
        self._database.execute(f"""
            create view numbered as
            select
                staged.* exclude ({CONTENT}),
                case when occurrence > 0 then md5({CONTENT} || ':' || occurrence) else {CONTENT} end as {ROW_ID}
            from staged left join repeated using ({LINE})
        """)
        self.distinct = self.rows


class EventStaging(StagedRows):
    """Events, which bring their ids; the first of equal ids counts."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._database.register("block", _staged_events(pl.DataFrame(schema=SCHEMA), first_line=0).to_arrow())
        self._database.execute("create table staged as select * from block")

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows with the columns of the history."""
        self._database.register("block", _staged_events(rows, first_line=self.rows).to_arrow())
        self._database.execute("insert into staged by name select * from block")
        self._database.unregister("block")
        self.rows += rows.height

    def number_rows(self) -> None:
        """Leave out what stands in the file again."""
        first = f"select min({LINE}) as {LINE} from staged group by {ROW_ID}"
        self._database.execute(f"create view numbered as select * from staged semi join ({first}) using ({LINE})")
        self.distinct = self._database.execute(f"select count(distinct {ROW_ID}) from staged").fetchall()[0][0]


def opened_database(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in memory, which goes on in `folder` beyond its share."""
    return duckdb.connect(
        config={
            "temp_directory": str(folder),
            "memory_limit": MEMORY_MAX,
            "preserve_insertion_order": False,  # Saves memory; LINE orders where it matters.
        }
    )


def with_every_column(files: Sequence[str], folder: Path) -> list[str]:
    """The files of the history and an empty one: all of them may be older than the newest column."""
    empty = folder / "columns.parquet"
    if not empty.exists():
        pl.DataFrame(schema=SCHEMA).write_parquet(empty)
    return [str(empty), *files]


def _staged_events(rows: pl.DataFrame, *, first_line: int) -> pl.DataFrame:
    return rows.with_columns(pl.col(TIME).dt.replace_time_zone(None)).with_row_index(LINE, offset=first_line)


def _content_key(frame: pl.DataFrame) -> pl.Expr:
    texts = [_hashed_text(name) for name in HASHED]
    # Only where there is one, so that rows without keep the ids that they always had.
    given = [name for name in FURTHER if frame[name].null_count() < frame.height]
    further = [pl.format(f"{UNIT_SEPARATOR}{name}={{}}", name).fill_null("") for name in given]
    return pl.concat_str(pl.concat_str(texts, separator=UNIT_SEPARATOR), *further).alias(KEY)


def _hashed_text(name: str) -> pl.Expr:
    """Text that no later version of a library will write differently: strings and integers only."""
    column = pl.col(name)
    if name == TIME:
        column = column.dt.epoch("us")
    if name == QUANTITY:
        column = (column.cast(pl.Float64) * 1e6).round().cast(pl.Int128)
    return column.cast(pl.String).fill_null("")


def _as_history(frame: pl.DataFrame, shift_days: int) -> pl.DataFrame:
    shifted = (pl.col(TIME).cast(pl.Datetime("us")) + timedelta(days=shift_days)).dt.replace_time_zone("UTC")
    # What a till line does not say; an event has it all.
    implied = {SOURCE: FROM_IMPORT, **dict.fromkeys((ANONYMOUS_ID, SESSION_ID, DECISION_ID, IMPORT_ID))}
    absent = [pl.lit(value, SCHEMA[name]).alias(name) for name, value in implied.items() if name not in frame.columns]
    return frame.with_columns(shifted, *absent).select(SCHEMA.names())
