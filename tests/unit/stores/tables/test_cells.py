"""Cells that come through the API lie between the imports that they came after and before."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from app.imports.catalogue import import_products
from app.imports.undo import undo_import
from app.settings import Settings
from app.stores.tables.layers import FROM_API, GIVEN, MAX_LAYER_COUNT, PRODUCTS, LayeredTable

NOW = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


@pytest.fixture
def table(settings: Settings) -> LayeredTable:
    return LayeredTable(settings.tables_dir, PRODUCTS)


def bring(settings: Settings, text: str, *, now: datetime = NOW) -> str:
    file = settings.data_dir.parent / "products.csv"
    file.write_text(text)
    return str(import_products(settings, file, now=now, progress=lambda done, total: None).import_id)


def put(table: LayeredTable, *rows: Mapping[str, str | None], now: datetime = NOW) -> None:
    names = sorted({name for row in rows for name in row})
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
    given = pl.Series(GIVEN, [[name for name in row if name != "product_id"] for row in rows], pl.List(pl.String))
    table.put_cells(frame.with_columns(given), now=now)


def stored(table: LayeredTable) -> dict[str, dict[str, object]]:
    rows = table.stored().drop("currency", strict=False).rows(named=True)
    return {row.pop("product_id"): {name: value for name, value in row.items() if value is not None} for row in rows}


def test_cell_that_is_not_given_keeps_what_is_stored_and_null_clears(settings: Settings, table: LayeredTable) -> None:
    bring(settings, "product_id,name,colour\n1,one,red\n2,two,red\n")
    put(table, {"product_id": "1", "name": "uno"}, {"product_id": "2", "colour": None})
    assert stored(table) == {"1": {"name": "uno", "colour": "red"}, "2": {"name": "two"}}


def test_what_came_later_counts_whether_by_file_or_by_call(settings: Settings, table: LayeredTable) -> None:
    put(table, {"product_id": "1", "name": "call", "colour": "red"})
    bring(settings, "product_id,name\n1,file\n")
    assert stored(table) == {"1": {"name": "file", "colour": "red"}}
    put(table, {"product_id": "1", "name": "call again"})
    assert stored(table) == {"1": {"name": "call again", "colour": "red"}}


def test_undone_import_leaves_no_cell_behind(settings: Settings, table: LayeredTable) -> None:
    import_id = bring(settings, "product_id,name,colour\n1,one,red\n")
    put(table, {"product_id": "1", "colour": "blue"}, {"product_id": "2", "name": "two"}, now=NOW + HOUR)
    put(table, {"product_id": "2", "colour": "green"}, now=NOW + 2 * HOUR)
    undo_import(settings, import_id, now=NOW + 3 * HOUR)
    assert stored(table) == {
        "1": {"colour": "blue"},
        "2": {"name": "two", "colour": "green", "listed_at": NOW + HOUR},
    }


def test_calls_without_an_import_in_between_are_one_layer(settings: Settings, table: LayeredTable) -> None:
    for place in range(5):
        put(table, {"product_id": str(place), "name": "one"})
    assert [layer.import_id for layer in table.layers().stack] == [FROM_API]
    other = bring(settings, "product_id,name\n9,nine\n")
    put(table, {"product_id": "0", "name": "two"})
    undo_import(settings, other, now=NOW)
    assert [layer.import_id for layer in table.layers().stack] == [FROM_API]
    files = [path.name for path in (settings.tables_dir / "products").glob("*.parquet")]
    assert len(files) == 1
    assert stored(table)["0"]["name"] == "two"


def test_layers_stay_bounded_where_calls_and_imports_take_turns(settings: Settings, table: LayeredTable) -> None:
    for place in range(MAX_LAYER_COUNT + 3):
        put(table, {"product_id": "1", "name": f"call {place}"})
        bring(settings, f"product_id,colour\n1,{place}\n")
    layers = table.layers()
    assert len(layers.stack) <= 2 * MAX_LAYER_COUNT + 1
    assert len(layers.folded) == 3
    assert stored(table) == {"1": {"name": f"call {MAX_LAYER_COUNT + 2}", "colour": str(MAX_LAYER_COUNT + 2)}}
