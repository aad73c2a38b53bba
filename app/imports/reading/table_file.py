"""Open a canonical table, CSV or Parquet, and give it block by block with the line number of every row."""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from app.errors import BadInput
from app.imports.reading.lines import Dialect, Split, split_block
from app.imports.report import Reject

BLOCK_BYTES = 16 * 2**20
BLOCK_ROWS = 262_144
HEADER_BYTES_MAX = 2**20
GZIP = b"\x1f\x8b"
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a table in file order; `raw` gives a row of the frame as the file has it."""

    frame: pl.DataFrame
    lines: npt.NDArray[np.int64]
    raw: Callable[[int], str]
    broken: Sequence[Reject]
    done: int


@dataclass(frozen=True, slots=True)
class TableFile:
    """An open table: the columns it has, the total that `Block.done` counts up to, and its blocks, once."""

    path: Path
    columns: tuple[str, ...]
    total: int
    blocks: Iterator[Block]

    def close(self) -> None:
        """For who stops before the last block: the file is closed now and not some time later."""
        if isinstance(self.blocks, Generator):
            self.blocks.close()


def open_table(
    path: Path, *, compulsory: Collection[str], wanted: Collection[str] | None = None, block_bytes: int = BLOCK_BYTES
) -> TableFile:
    """The table at `path`, only `wanted` columns read (None: all); BadInput when it is not such a table.

    `block_bytes` bounds the memory for text files.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a CSV or Parquet file") from None
    if head == b"PAR1":
        return _open_parquet(path, compulsory, wanted)
    return _open_csv(path, head, compulsory, wanted, block_bytes)


def frame_table(path: Path, frame: pl.DataFrame) -> TableFile:
    """The rows of a frame as an open table, in the name of the file that they were made from."""
    block = Block(frame, np.arange(1, frame.height + 1), frame_rows(frame), (), frame.height)
    return TableFile(path, tuple(frame.columns), frame.height, iter([block]))


def whole(file: TableFile) -> Block:
    """All rows of the table as one block, for tables whose rows say something of each other."""
    blocks = list(file.blocks)
    starts = np.cumsum([0, *(block.frame.height for block in blocks)])

    def raw(row: int) -> str:
        position = int(np.searchsorted(starts, row, side="right")) - 1
        return blocks[position].raw(row - int(starts[position]))

    if not blocks:
        return Block(
            pl.DataFrame(schema=dict.fromkeys(file.columns, pl.String)), np.zeros(0, np.int64), raw, (), done=0
        )
    frame = pl.concat((block.frame for block in blocks), how="vertical_relaxed")
    lines = np.concatenate([block.lines for block in blocks])
    return Block(frame, lines, raw, [reject for block in blocks for reject in block.broken], blocks[-1].done)


def _open_csv(
    path: Path, head: bytes, compulsory: Collection[str], wanted: Collection[str] | None, block_bytes: int
) -> TableFile:
    _refuse_other_formats(path, head)
    with ExitStack() as on_failure:
        raw = on_failure.enter_context(path.open("rb"))
        file = on_failure.enter_context(_unpacked(raw)) if head.startswith(GZIP) else raw
        header = _read_header(path, file)
        separator = max(SEPARATORS, key=header.count)
        columns = _column_names(path, _names_of(path, header, separator), compulsory)
        # From here on whoever reads the blocks closes the file.
        on_failure.pop_all()
    read = tuple(name for name in columns if wanted is None or name in wanted)
    dialect = Dialect(separator, columns, read)
    return TableFile(path, columns, path.stat().st_size, _csv_blocks(path, raw, file, dialect, block_bytes))


def _unpacked(raw: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw))


def _refuse_other_formats(path: Path, head: bytes) -> None:
    remedy = "give CSV in UTF-8, gzipped or not, or Parquet"
    if not head:
        raise BadInput(f"{path}: the file is empty; {remedy} with a header and rows")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path}: is written in UTF-16; {remedy}")
    if head.startswith(b"PK"):
        raise BadInput(f"{path}: is a spreadsheet or zip archive; {remedy}")
    if (b"\0" in head and not head.startswith(GZIP)) or path.suffix == ".parquet":
        raise BadInput(f"{path}: is neither text nor Parquet; {remedy}")


def _read_header(path: Path, file: BinaryIO) -> str:
    try:
        line = file.readline(HEADER_BYTES_MAX)
        # Spreadsheets put a byte order mark first.
        header = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: the header is not UTF-8; save the file as CSV in UTF-8") from None
    # gzip raises any of the three for an archive that is cut or damaged.
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be unpacked ({error}); give the whole file") from None
    if "\r" in header:
        raise BadInput(f"{path}: its lines end with a carriage return alone; save the file with LF or CRLF line ends")
    return header


def _names_of(path: Path, header: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=separator), [])
    except csv.Error as error:
        raise BadInput(f"{path}: the header is no CSV ({error}); give the names of the columns first") from None


def _column_names(path: Path, names: Sequence[str], compulsory: Collection[str]) -> tuple[str, ...]:
    # Spreadsheets leave nameless columns behind; they are nobody's, and several of them are no fault.
    columns = tuple(name.strip().lower() or f"column {position}" for position, name in enumerate(names, start=1))
    double = [name for name, count in Counter(columns).items() if count > 1]
    if double:
        raise BadInput(f"{path}: column {double[0]!r} is duplicated in the header; keep one")
    for name in compulsory:
        if name not in columns:
            found = ", ".join(columns)
            raise BadInput(f"{path}: no column {name!r} in the header ({found}); rename or add it, see docs/import.md")
    return columns


def _csv_blocks(path: Path, raw: BinaryIO, file: BinaryIO, dialect: Dialect, block_bytes: int) -> Iterator[Block]:
    # The header is line 1.
    line, rest = 2, b""
    with raw, file:
        for data, last in _whole_lines(path, file, block_bytes):
            split = split_block(rest + data, dialect, first_line=line, last=last)
            # In bytes of the packed file, whose size is the total.
            yield _csv_block(rest + data, split, done=raw.tell())
            line += split.line_count
            rest = split.rest


def _csv_block(data: bytes, split: Split, *, done: int) -> Block:
    def raw(row: int) -> str:
        return data[split.starts[row] : split.ends[row]].decode().removesuffix("\r")

    return Block(split.frame, split.lines, raw, split.broken, done)


def _whole_lines(path: Path, file: BinaryIO, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks that end with a line break, the last one marked."""
    tail = b""
    try:
        while data := file.read(block_bytes):
            cut = data.rfind(b"\n") + 1
            if cut:
                yield tail + data[:cut], False
                tail = data[cut:]
            else:
                tail += data
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be unpacked ({error}); give the whole file") from None
    # The last line may lack its line break.
    yield (tail + b"\n" if tail else b""), True


def _open_parquet(path: Path, compulsory: Collection[str], wanted: Collection[str] | None) -> TableFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: is not sound Parquet ({_first_line(error)}); write the file again") from None
    names = file.schema_arrow.names
    columns = _column_names(path, names, compulsory)
    read = {name: column for name, column in zip(names, columns, strict=True) if wanted is None or column in wanted}
    for name in read:
        if pa.types.is_nested(file.schema_arrow.field(name).type):
            raise BadInput(f"{path}: column {name!r} holds lists or structs; give one plain value a row")
    return TableFile(path, columns, file.metadata.num_rows, _parquet_blocks(path, file, read))


def _parquet_blocks(path: Path, file: pq.ParquetFile, read: dict[str, str]) -> Iterator[Block]:
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


def frame_rows(frame: pl.DataFrame) -> Callable[[int], str]:
    """Gives a row as a JSON object, for the list of refused rows."""
    return lambda row: json.dumps(frame.row(row, named=True), default=str, ensure_ascii=False)


def _sound(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: is not sound Parquet ({_first_line(error)}); write the file again") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
