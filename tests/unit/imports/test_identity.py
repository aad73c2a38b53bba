"""What makes two imports of one file the same: that it is read in the same way, whoever said so."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import BadInput
from app.imports import ImportReport
from app.imports.mapping.load import file_form
from app.imports.mapping.toml import to_toml
from app.imports.run import Sources, planned, run_imports
from app.settings import Settings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _import(settings: Settings, sources: Sources) -> ImportReport:
    [report] = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=lambda *_: None)
    return report


def test_saved_guess_is_the_guess(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("Order No,SKU,Qty,Unit Price,Order Date,Customer ID\n1,M1,2,5.00,2026-11-01,c1\n")
    with planned(settings, Sources(files=(file,))) as [plan]:
        (tmp_path / "saved.toml").write_text(to_toml(plan.mapping))
        assert plan.mapping.notes
    first = _import(settings, Sources(files=(file,)))
    again = _import(settings, Sources(files=(file,), mapping=str(tmp_path / "saved.toml")))
    assert (first.rows_added, again.rows_added, again.rows_known) == (1, 0, 1)
    assert first.import_id == again.import_id


def test_other_names_for_the_columns_are_another_reading(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("c1,M1,2026-11-01,2,5.00\n")
    names = ["customer_id", "product_id", "timestamp", "quantity", "amount"]
    _import(settings, Sources(files=(file,), stated=file_form(columns=names)))
    with pytest.raises(BadInput, match="read in another way"):
        _import(settings, Sources(files=(file,), stated=file_form(columns=names[:3])))
