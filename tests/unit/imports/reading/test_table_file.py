"""Files that are no sound table: one line each that names the file, what is wrong, and the remedy."""

from pathlib import Path
from random import Random

import polars as pl
import pytest

from app.errors import BadInput
from app.imports.reading.table_file import open_table, whole

COLUMNS = ("customer_id", "product_id")


def read(file: Path) -> pl.DataFrame:
    return whole(open_table(file, compulsory=COLUMNS)).frame


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"c1,p1,2020-01-01,1\n", "the first line holds values and no names .* --columns customer_id,product_id"),
        (b"customer_id," + b"x" * 200_000 + b"\n", "no column 'customer_id' in the header"),
    ],
)
def test_text_that_is_no_csv_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "sales.csv"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=words) as refusal:
        read(file)
    assert str(file) in refusal.value.message
    assert "\n" not in refusal.value.message


def test_text_that_a_parquet_file_calls_bytes_is_read_and_other_bytes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "sales.parquet"
    pl.DataFrame({"customer_id": [b"c1", b"\xc3\xa9"], "product_id": ["p1", "p2"]}).write_parquet(file)
    assert read(file)["customer_id"].to_list() == ["c1", "é"]
    pl.DataFrame({"customer_id": [b"\xff\xfe\x00"], "product_id": ["p1"]}).write_parquet(file)
    with pytest.raises(BadInput, match="'customer_id' holds bytes that are no UTF-8; write it as text"):
        read(file)


def test_damaged_parquet_is_refused_in_one_line_or_read(tmp_path: Path) -> None:
    sound, file = tmp_path / "sound.parquet", tmp_path / "sales.parquet"
    rows = {"customer_id": [f"c{n}" for n in range(500)], "product_id": [f"p{n % 7}" for n in range(500)]}
    pl.DataFrame(rows).write_parquet(sound)
    random, content = Random(0), sound.read_bytes()
    refusals: list[str] = []
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(random.choice((1, 8))):
            # Behind the first bytes, by which the file is known as Parquet.
            damaged[random.randrange(4, len(damaged))] ^= 1 << random.randrange(8)
        file.write_bytes(damaged[: random.choice((len(damaged), random.randrange(5, len(damaged))))])
        try:
            read(file)
        except BadInput as error:
            refusals.append(error.message)
    assert len(refusals) > 200
    assert all(str(file) in refusal and "\n" not in refusal for refusal in refusals)
