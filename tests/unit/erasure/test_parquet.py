"""A table with people loses one of them and nothing else."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

from app.customers.keys import PersonKeys
from app.erasure.parquet import erase_rows, rows_of

KEYS = PersonKeys(frozenset({"90"}))


def _table() -> pl.DataFrame:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "customer_id": ["90", "900", None, "90"],
            "at": [at] * 4,
            "bought": [["a"], [], None, ["b", "c"]],
            "n": [1.5] * 4,
        }
    )


def test_rows_of_others_stay_as_they_are_and_so_does_the_footer(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    _table().write_parquet(path, metadata={"noted": "7"})
    assert [row["bought"] for row in rows_of(path, KEYS)] == [["a"], ["b", "c"]]
    assert erase_rows(path, KEYS) == 2
    assert_frame_equal(pl.read_parquet(path), _table()[1:3])
    assert pl.read_parquet_metadata(path)["noted"] == "7"
    assert pl.read_parquet_schema(path) == _table().schema
    written_at = path.stat().st_mtime_ns
    assert erase_rows(path, KEYS) == 0
    assert path.stat().st_mtime_ns == written_at
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_without_people_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "products.parquet"
    pl.DataFrame({"product_id": ["90"]}).write_parquet(path)
    assert rows_of(path, KEYS) == []
    assert erase_rows(path, KEYS) == 0
