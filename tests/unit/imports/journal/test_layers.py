"""A table of products is the fold of its live imports, whatever came in, went or was exchanged before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from app.errors import BadInput
from app.imports import ImportReport, import_products, import_stores
from app.imports.journal.records import Intake
from app.imports.undo import list_imports, undo_import
from app.settings import Settings
from app.stores.tables.layers import MAX_LAYER_COUNT

NOW = datetime(2026, 10, 1, tzinfo=UTC)
FILES = {
    "a": "product_id,name,price\n1,one,1\n2,two,2\n",
    "b": "product_id,price\n2,3\n3,4\n",
    "c": "product_id,name,colour\n1,,red\n4,four,blue\n",
    "d": "product_id,name\n3,three\n",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _bring(settings: Settings, text: str, *, name: str = "p", now: datetime = NOW, **options: Any) -> ImportReport:
    file = settings.data_dir.parent / f"{name}.csv"
    file.write_text(text)
    return import_products(settings, file, now=now, progress=_silent, intake=Intake(**options))


def _silent(_done: int, _total: int | None) -> None:
    pass


def _table(settings: Settings) -> pl.DataFrame | None:
    path = settings.tables_dir / "products.parquet"
    return pl.read_parquet(path) if path.exists() else None


STEP = st.one_of(
    st.tuples(st.just("import"), st.sampled_from([*FILES])),
    st.tuples(st.just("undo"), st.sampled_from([*FILES])),
    st.tuples(st.just("replace"), st.sampled_from([*FILES]), st.sampled_from([*FILES])),
)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=8))
def test_table_is_that_of_the_live_files_alone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("lived") / "var")
    live: list[tuple[str, datetime]] = []
    ids: dict[str, str] = {}
    for hour, (step, *names) in enumerate(steps):
        now = NOW + timedelta(hours=hour)
        is_there = names[0] in dict(live)
        if step == "import":
            report = _bring(settings, FILES[names[0]], name=names[0], now=now)
            ids[names[0]] = str(report.import_id)
            if report.rows_added or not is_there:
                live.append((names[0], now))
        elif step == "undo" and is_there:
            undo_import(settings, ids[names[0]], now=now)
            live = [one for one in live if one[0] != names[0]]
        elif step == "replace" and is_there and names[0] != names[1]:
            report = _bring(settings, FILES[names[1]], name=names[1], now=now, replaces=ids[names[0]])
            ids[names[1]] = str(report.import_id)
            last = max(place for place, one in enumerate(live) if one[0] == names[0])
            live[last] = (names[1], live[last][1])
            live = [one for one in live if one[0] != names[0]]
    clean = Settings.load(data_dir=tmp_path_factory.mktemp("clean") / "var")
    for name, at in live:
        _bring(clean, FILES[name], now=at)
    table, expected = _table(settings), _table(clean)
    assert (table is None) == (expected is None)
    if table is not None and expected is not None:
        assert_frame_equal(table, expected, check_column_order=False)
    assert {one.record.file[0] for one in list_imports(settings) if one.status == "done"} == {name for name, _ in live}


def test_table_from_before_there_were_layers_is_the_lowest_of_them(settings: Settings) -> None:
    settings.tables_dir.mkdir(parents=True)
    old = pl.DataFrame({"product_id": ["1"], "name": ["one"]})
    old.write_parquet(settings.tables_dir / "products.parquet")
    report = _bring(settings, "product_id,name\n1,uno\n2,due\n")
    undo_import(settings, str(report.import_id), now=NOW)
    table = _table(settings)
    assert table is not None
    assert_frame_equal(table, old)


def test_only_the_last_imports_can_be_taken_back_and_the_disk_is_bounded(settings: Settings) -> None:
    ids = [
        str(_bring(settings, f"product_id,name\nall,{n}\np{n},x\n", now=NOW + timedelta(hours=n)).import_id)
        for n in range(MAX_LAYER_COUNT + 3)
    ]
    whole = _table(settings)
    assert len(list((settings.tables_dir / "products").glob("*.parquet"))) == MAX_LAYER_COUNT + 1
    for refused in ids[:3]:
        with pytest.raises(BadInput, match=f"import {refused} is too old to be taken back: only the last 20 imports"):
            undo_import(settings, refused, now=NOW)
    with pytest.raises(BadInput, match="too old"):
        _bring(settings, "product_id\nx\n", replaces=ids[0])
    for import_id in reversed(ids[3:]):
        undo_import(settings, import_id, now=NOW)
    table = _table(settings)
    assert whole is not None
    assert table is not None
    assert table["product_id"].to_list() == ["all", "p0", "p1", "p2"]
    assert table.filter(product_id="all")["name"].to_list() == ["2"]
    listed = {
        name: at for name, at in whole.select("product_id", "listed_at").rows() if name in set(table["product_id"])
    }
    assert dict(table.select("product_id", "listed_at").rows()) == listed
    assert [one.status for one in list_imports(settings)].count("done") == 3


def test_missing_layer_is_named(settings: Settings) -> None:
    first = _bring(settings, "product_id,name\n1,a\n")
    _bring(settings, "product_id,name\n1,b\n")
    next((settings.tables_dir / "products").glob("000002*")).unlink()
    with pytest.raises(BadInput, match=r"000002.parquet is missing, so no import of products can be taken back"):
        undo_import(settings, str(first.import_id), now=NOW)
    assert [one.status for one in list_imports(settings)] == ["done", "done"]


def test_stores_are_taken_back_like_products(settings: Settings) -> None:
    file = settings.data_dir.parent / "stores.csv"
    file.write_text("store_id,city\n1,Ulm\n")
    report = import_stores(settings, file, now=NOW, progress=_silent)
    _bring(settings, "product_id\n1\n")
    with pytest.raises(BadInput, match="is one of stores; --replace takes an import of products here"):
        _bring(settings, "product_id\n2\n", replaces=report.import_id)
    record, gone = undo_import(settings, str(report.import_id), now=NOW)
    assert (record.table, gone) == ("stores", 1)
    assert not (settings.tables_dir / "stores.parquet").exists()
    assert _table(settings) is not None
