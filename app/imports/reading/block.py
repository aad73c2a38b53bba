"""What every kind of table is read as: blocks of rows, each row with its line."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from app.imports.report import Reject

BLOCK_BYTES = 16 * 2**20
BLOCK_ROWS = 262_144


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
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read."""
    ignored: tuple[str, ...] = ()
    """Columns that nobody reads."""
    is_ragged: bool = False
    """Whether rows may have columns that the first ones lack."""
    lists: tuple[str, ...] = ()
    """Columns that hold lists, the entries of which may be a row each."""

    def close(self) -> None:
        """For who stops before the last block: the file is closed now and not some time later."""
        if isinstance(self.blocks, Generator):
            self.blocks.close()


def frame_rows(frame: pl.DataFrame) -> Callable[[int], str]:
    """Gives a row as a JSON object, for the list of refused rows."""
    return lambda row: json.dumps(frame.row(row, named=True), default=str, ensure_ascii=False)


def first_line(error: Exception) -> str:
    """What a library says is wrong, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
