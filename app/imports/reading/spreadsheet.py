"""Tables in workbooks: xlsx, xls and ods, read by fastexcel."""

from collections.abc import Collection
from pathlib import Path

import fastexcel
import numpy as np
import polars as pl

from app.errors import BadInput
from app.imports.reading.block import Block, TableFile, first_line, frame_rows
from app.imports.reading.dialect import ReadOptions, header_of
from app.imports.reading.names import check_compulsory, column_names


def open_spreadsheet(
    path: Path, options: ReadOptions, *, compulsory: Collection[str], wanted: Collection[str] | None
) -> TableFile:
    """A sheet of the workbook at `path`, the first unless one is named; raises BadInput when it is none.

    All cells are text, times as ISO 8601 and numbers with a point, as CSV has them.
    """
    try:
        book = fastexcel.read_excel(path)
        sheet = options.sheet or book.sheet_names[0]
        if sheet not in book.sheet_names:
            raise BadInput(f"{path}: has no sheet {sheet!r}; it has {', '.join(book.sheet_names)}")
        frame = pl.DataFrame(book.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string").to_arrow())
    except fastexcel.FastExcelError as error:
        raise BadInput(f"{path}: is not a sound workbook ({first_line(error)}); save it again as xlsx") from None
    rows = [[value or "" for value in row] for row in frame.head(100).rows()]
    position, names = header_of(rows, options)
    columns = column_names(path, names, needed=[*compulsory, *(wanted or ())])
    check_compulsory(path, columns, compulsory)
    body = frame.slice(position + 1)
    body = body.rename(dict(zip(body.columns[: len(columns)], columns, strict=False))).select(columns)
    body = body.with_columns(pl.col(pl.String).replace("", None))
    lines = np.arange(position + 2, position + 2 + body.height)
    is_row = body.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    body, lines = body.filter(is_row), lines[is_row.to_numpy()]
    if wanted is not None:
        body = body.select(name for name in columns if name in wanted)
    notes = [f"sheet {sheet!r}"] if len(book.sheet_names) > 1 else []
    notes += [f"{position} lines before the header left out"] if position > 0 else []
    block = Block(body, lines, frame_rows(body), (), body.height)
    return TableFile(path, columns, body.height, iter([block]), tuple(notes))
