"""Open a table, whatever kind of file it is in, and give it block by block with the line number of every row."""

import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from app.errors import BadInput
from app.imports.reading.block import BLOCK_BYTES, Block, TableFile, frame_rows
from app.imports.reading.containers import parts_of, said_if_damaged, unpacked
from app.imports.reading.dialect import AS_FOUND, ReadOptions
from app.imports.reading.json_table import is_json, open_json
from app.imports.reading.parquet_table import open_parquet
from app.imports.reading.spreadsheet import open_spreadsheet
from app.imports.reading.text_table import open_text
from app.imports.reading.xml_table import is_xml, open_xml

WORKBOOK_PARTS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
START_BYTES = 1024
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"


def open_table(
    path: Path,
    *,
    compulsory: Collection[str],
    wanted: Collection[str] | None = None,
    options: ReadOptions = AS_FOUND,
    block_bytes: int = BLOCK_BYTES,
) -> TableFile:
    """The table at `path`, only `wanted` columns read (None: all); BadInput when it is not such a table.

    `block_bytes` bounds the memory for text files.
    """
    if path.is_dir():
        return _open_folder(path, compulsory=compulsory, wanted=wanted, options=options, block_bytes=block_bytes)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a CSV or Parquet file") from None
    if head == b"PAR1":
        return open_parquet(path, compulsory=compulsory, wanted=wanted)
    if head == OLD_WORKBOOK or (head.startswith(b"PK") and is_workbook(path)):
        return open_spreadsheet(path, options, compulsory=compulsory, wanted=wanted)
    start = _start(path)
    if is_json(start):
        return open_json(path, options, compulsory=compulsory, wanted=wanted)
    if is_xml(start):
        return open_xml(path, compulsory=compulsory, wanted=wanted)
    return open_text(path, options, compulsory=compulsory, wanted=wanted, block_bytes=block_bytes)


def _open_folder(
    path: Path,
    *,
    compulsory: Collection[str],
    wanted: Collection[str] | None,
    options: ReadOptions,
    block_bytes: int,
) -> TableFile:
    """The files of a folder as one table, in the order of their names, as programs write it that write in parts."""
    files = parts_of(path)
    if not files:
        raise BadInput(f"{path}: the folder holds no file; give one with the parts of a table")

    def opened(file: Path) -> TableFile:
        return open_table(file, compulsory=compulsory, wanted=wanted, options=options, block_bytes=block_bytes)

    def blocks() -> Iterator[Block]:
        done = 0
        for file in files:
            part = opened(file)
            if set(part.columns) != set(first.columns):
                other = ", ".join(sorted(set(part.columns) ^ set(first.columns)))
                raise BadInput(f"{file}: has other columns than {files[0].name} ({other}); import it alone")
            for block in part.blocks:
                yield replace(block, raw=_named(file.name, block.raw), done=done + block.done)
            done += part.total

    first = opened(files[0])
    total = sum(opened(file).total for file in files)
    return replace(first, path=path, total=total, blocks=blocks(), notes=(f"{len(files)} files", *first.notes))


def _named(name: str, raw: Callable[[int], str]) -> Callable[[int], str]:
    return lambda row: f"{name}: {raw(row)}"


def _start(path: Path) -> bytes:
    with path.open("rb") as raw, said_if_damaged(path):
        return unpacked(raw).read(START_BYTES)


def is_workbook(path: Path) -> bool:
    """Whether a zip archive is a workbook; raises BadInput for one that is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(part in archive.namelist() for part in WORKBOOK_PARTS)
    except zipfile.BadZipFile as error:
        raise BadInput(f"{path}: is not a sound zip archive ({error}); give the whole file") from None


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
