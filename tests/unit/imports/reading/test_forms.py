"""The same rows, as programs write them: each form is found in the file, and said where it is unusual."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
import xlsxwriter

from app.errors import BadInput
from app.imports.reading.dialect import ReadOptions
from app.imports.reading.table_file import open_table, whole

COLUMNS = ("customer_id", "product_id")
ROWS = [("c1", "p1"), ("c2", "Größe")]
PLAIN = "customer_id,product_id\nc1,p1\nc2,Größe\n"

WRITTEN: dict[str, tuple[bytes, str]] = {
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), ""),
    "utf-16": (PLAIN.encode("utf-16"), "read as utf-16"),
    "utf-16 of the other order": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "read as utf-16"),
    "western": (PLAIN.encode("cp1252"), "read as cp1252"),
    "carriage returns": (PLAIN.replace("\n", "\r").encode(), "carriage return"),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), ""),
    "semicolons": (PLAIN.replace(",", ";").encode(), ""),
    "two colons": (PLAIN.replace(",", "::").encode(), "separated by ::"),
    "line that names the separator": (b"sep=;\n" + PLAIN.replace(",", ";").encode(), "1 line before the header"),
    "report with a title": (b"Sales\nStore 12,\n\n" + PLAIN.encode(), "3 lines before the header"),
    "commas in a name": (b"note, or none|" + PLAIN.replace(",", "|").replace("\n", "\nx|", 2).encode(), "separated by"),
    "blanks and capitals": (PLAIN.replace("customer_id,product_id", " Customer_ID , PRODUCT_ID").encode(), ""),
    "separator at the end of each line": (PLAIN.replace("\n", ",\n").encode(), ""),
    "separator at the end of each row": (PLAIN.replace("\n", ",\n").replace(",\n", "\n", 1).encode(), ""),
    "columns nobody needs under one name": (b"tax,Tax," + PLAIN.replace("\n", "\n0,0,", 2).encode(), ""),
    "names that are patterns": (
        PLAIN.replace("customer_id", "*,^.*$,customer_id").replace("\nc", "\n,,c").encode(),
        "",
    ),
    "gzip": (gzip.compress(PLAIN.encode()), ""),
    "gzip of utf-16": (gzip.compress(PLAIN.encode("utf-16")), "read as utf-16"),
    "bzip2": (bz2.compress(PLAIN.encode()), ""),
    "xz": (lzma.compress(PLAIN.encode()), ""),
    "Zstandard": (bytes(pa.compress(PLAIN.encode(), "zstd", asbytes=True)), ""),
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("block_bytes", [3, 2**24])
def test_rows_are_the_same_in_every_form(tmp_path: Path, form: str, block_bytes: int) -> None:
    content, note = WRITTEN[form]
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    file = open_table(path, compulsory=COLUMNS, wanted=COLUMNS, block_bytes=block_bytes)
    block = whole(file)
    assert block.frame.select(COLUMNS).rows() == ROWS
    assert [block.raw(row).count("c") for row in range(2)] == [1, 1]
    assert (block.raw(0) == "c1::p1") == (form == "two colons")
    assert not block.broken
    assert note in "; ".join(file.notes) if note else not file.notes


JSON_LINES = '{"customer_id": "c1", "product_id": "p1"}\n\n{"customer_id": "c2", "product_id": "Größe"}\n'.encode()
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
}


@pytest.mark.parametrize("form", PACKED)
def test_lines_of_json_are_the_same_in_every_archive(tmp_path: Path, form: str) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_bytes(PACKED[form](JSON_LINES))
    block = whole(open_table(path, compulsory=COLUMNS, wanted=COLUMNS))
    assert block.frame.select(COLUMNS).rows() == ROWS
    assert block.lines.tolist() == [1, 3]


def _workbook(path: Path, *, rows_above: int) -> None:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet("Sales")
    for position, row in enumerate([("Customer_ID", "product_id"), *ROWS]):
        sheet.write_row(rows_above + position, 0, row)
    book.add_worksheet("Notes").write(0, 0, "x")
    book.close()


@pytest.mark.parametrize("rows_above", [0, 3])
def test_a_sheet_of_a_workbook_is_a_table(tmp_path: Path, rows_above: int) -> None:
    _workbook(tmp_path / "sales.xlsx", rows_above=rows_above)
    file = open_table(tmp_path / "sales.xlsx", compulsory=COLUMNS)
    block = whole(file)
    assert block.frame.rows() == ROWS
    assert block.lines.tolist() == [rows_above + 2, rows_above + 3]
    assert "sheet 'Sales'" in file.notes
    with pytest.raises(BadInput, match="has no sheet 'Orders'; it has Sales, Notes"):
        open_table(tmp_path / "sales.xlsx", compulsory=COLUMNS, options=ReadOptions(sheet="Orders"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-200], "not a sound zip archive"),
        (lambda content: content.replace(b"xl/worksheets", b"xl/worksheetz"), "not a sound workbook"),
    ],
)
def test_a_damaged_workbook_is_refused_in_one_line(
    tmp_path: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    path = tmp_path / "sales.xlsx"
    _workbook(path, rows_above=0)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BadInput, match=words):
        open_table(path, compulsory=COLUMNS)


def test_names_of_columns_may_be_stated_where_the_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("c1::p1\nc2::Größe\n")
    block = whole(open_table(path, compulsory=COLUMNS, options=ReadOptions(columns=COLUMNS)))
    assert block.frame.rows() == ROWS
    assert block.lines.tolist() == [1, 2]


def test_an_encoding_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(PLAIN)
    with pytest.raises(BadInput, match="no such encoding: martian; write for example utf-8 or cp1252"):
        open_table(path, compulsory=COLUMNS, options=ReadOptions(encoding="martian"))


def test_lists_cost_a_file_only_where_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    pl.DataFrame({"customer_id": ["c1"], "product_id": ["p1"], "tags": [["a"]]}).write_parquet(path)
    file = open_table(path, compulsory=COLUMNS)
    assert whole(file).frame.rows() == [("c1", "p1")]
    assert file.notes == ("column 'tags' holds lists or structs and is left out",)
    with pytest.raises(BadInput, match="'tags' holds lists"):
        open_table(path, compulsory=COLUMNS, wanted=[*COLUMNS, "tags"])
