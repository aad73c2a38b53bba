"""Where an import gathers its rows, numbers equal ones and finds the new ones, in bounded memory."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import duckdb
import polars as pl
import pyarrow as pa

from app.history import (
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
STAGED = pl.Schema({LINE: pl.Int64(), **{name: SCHEMA[name] for name in HASHED}, TIME: pl.Datetime("us")})
# No id may hold a control character, so two different rows never join to the same text.
UNIT_SEPARATOR = "\x1f"
# DuckDB's share; beyond it rows go to disk. The whole import then stays well below 2 GiB.
MEMORY_MAX = "400MB"


_HASHED_BLOCK = f"select * exclude ({KEY}), md5({KEY}) as {CONTENT} from block"


class Staging:
    """The rows of one import. Use as a context; its files live below `data_dir` and vanish at the end."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._spill = TemporaryDirectory(prefix=".import-", dir=data_dir)
        self._database = duckdb.connect(
            config={
                "temp_directory": self._spill.name,
                "memory_limit": MEMORY_MAX,
                "preserve_insertion_order": False,  # Saves memory; LINE orders where it matters.
            }
        )
        empty = pl.DataFrame(schema=STAGED).with_columns(_content_key())
        self._database.register("block", empty.to_arrow())
        self._database.execute(f"create table staged as {_HASHED_BLOCK}")
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._spill.cleanup()

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows with the columns of `STAGED`."""
        self._database.register("block", frame.with_columns(_content_key()).to_arrow())
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
                staged.*,
                case when occurrence > 0 then md5({CONTENT} || ':' || occurrence) else {CONTENT} end as {ROW_ID}
            from staged left join repeated using ({LINE})
        """)

    def last_at(self) -> datetime | None:
        """The latest time of all rows, naive UTC; None without times."""
        latest: datetime | None = self._database.execute(f"select max({TIME}) from staged").fetchall()[0][0]
        return latest

    def absent(self, files: Sequence[str], *, shift_days: int) -> Iterator[pl.DataFrame]:
        """In batches, in the file's order: rows whose id is in none of the Parquet `files`, times shifted."""
        known = f"anti join (select {ROW_ID} from read_parquet($files)) using ({ROW_ID})" if files else ""
        query = f"select * from numbered {known} order by {LINE}"
        found = self._database.cursor().sql(query, params={"files": list(files)} if files else None)
        for batch in pa.RecordBatchReader.from_stream(found):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield _as_history(frame, shift_days)


def _content_key() -> pl.Expr:
    texts = [_hashed_text(name) for name in HASHED]
    return pl.concat_str(texts, separator=UNIT_SEPARATOR).alias(KEY)


def _hashed_text(name: str) -> pl.Expr:
    """Text that no later version of a library will write differently: strings and integers only."""
    column = pl.col(name)
    if name == TIME:
        column = column.dt.epoch("us")
    if name == QUANTITY:
        column = (column.cast(pl.Float64) * 1e6).round().cast(pl.Int128)
    return column.cast(pl.String).fill_null("")


def _as_history(frame: pl.DataFrame, shift_days: int) -> pl.DataFrame:
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in (ANONYMOUS_ID, SESSION_ID, DECISION_ID, IMPORT_ID)]
    shifted = (pl.col(TIME).cast(pl.Datetime("us")) + timedelta(days=shift_days)).dt.replace_time_zone("UTC")
    return frame.with_columns(pl.lit(FROM_IMPORT).alias(SOURCE), shifted, *absent).select(SCHEMA.names())
