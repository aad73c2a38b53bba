"""The live tables as one file, so that a process that starts reads megabytes and not every row of stock from SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from app.files import replace_whole_durably
from app.places.tables import ABSENT, LiveTables, SparseRow, narrowed

FORMAT = 2
_Arrays = dict[str, npt.NDArray[Any]]
"""The parts of a snapshot by name."""
_SPARSE = ("parts", "prices", "references")


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a process has read: the database's epoch, and the last changes of stock, of prices and of stores."""

    epoch: int = 0
    stock: int = 0
    prices: int = 0
    stores: int = 0


def write_snapshot(path: Path, tables: LiveTables, seen: Seen) -> None:
    """Puts the tables, which nobody changes meanwhile, in the place of the file; readers find the old or the new one.

    Some 500 ms for 500 stores of 100,000 products.
    """
    arrays = _arrays(tables, seen)

    def write(unfinished: Path) -> None:
        with unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_whole_durably(path, write)


def read_snapshot(path: Path) -> tuple[LiveTables, Seen] | None:
    """The tables and how far they had read; None where there is no file, or none that can be used."""
    try:
        # A zip's checksums are compared while its members are read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as parts:
            arrays = {name: parts[name] for name in parts.files}
        return _tables(arrays)
    # It can be made again from SQL, so a damaged one is as good as none.
    except (OSError, BadZipFile, ValueError, KeyError, IndexError, EOFError):
        return None


def _arrays(tables: LiveTables, seen: Seen) -> _Arrays:
    store_count, width = len(tables.row_of), -(-len(tables.column_of) // 2)
    arrays: _Arrays = {
        "format": np.array([FORMAT], np.int64),
        "seen": np.array([seen.epoch, seen.stock, seen.prices], np.int64),
        "store_ids": _texts(tables.store_ids()),
        "product_ids": _texts(tables.product_ids()),
        "keeps_stock": np.array(tables.keeps_stock, np.bool_),
        "cells": tables.cells[:store_count, :width],
    }
    for name in _SPARSE:
        arrays |= _joined(name, getattr(tables, name))
    return arrays


def _tables(arrays: _Arrays) -> tuple[LiveTables, Seen] | None:
    if int(arrays["format"][0]) != FORMAT:
        return None
    tables = LiveTables(_words(arrays["store_ids"]), _words(arrays["product_ids"]))
    if arrays["cells"].shape != tables.cells.shape:
        return None
    tables.cells = arrays["cells"]
    tables.keeps_stock = arrays["keeps_stock"].tolist()
    for name in _SPARSE:
        starts, columns, values = (arrays[f"{name}_{part}"] for part in ("starts", "columns", "values"))
        setattr(
            tables,
            name,
            # Copies, so that no row that changes keeps the numbers of all others alive.
            [
                SparseRow(columns[start:end].copy(), narrowed(values[start:end]), {})
                for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
            ],
        )
    tables.has_prices = bool(len(arrays["prices_columns"]))
    epoch, stock, prices = arrays["seen"].tolist()
    return tables, Seen(epoch, stock, prices)


def _joined(name: str, rows: Sequence[SparseRow]) -> _Arrays:
    parts = [row.merged() for row in rows]
    sizes = [len(columns) for columns, _ in parts]
    # Joined as they are, unsigned and signed numbers of eight bytes would become floats.
    values = np.concatenate([np.zeros(0, np.int64), *(values for _, values in parts)], dtype=np.int64)
    assert not len(values) or values.min() > ABSENT
    return {
        f"{name}_starts": np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64),
        f"{name}_columns": np.concatenate([np.zeros(0, np.int32), *(columns for columns, _ in parts)]),
        f"{name}_values": narrowed(values),
    }


def _texts(words: Sequence[str]) -> npt.NDArray[np.uint8]:
    # An id holds no control characters (app.bounds), so a line feed ends it.
    return np.frombuffer("".join(f"{word}\n" for word in words).encode(), np.uint8)


def _words(text: npt.NDArray[np.uint8]) -> list[str]:
    return text.tobytes().decode().split("\n")[:-1]
