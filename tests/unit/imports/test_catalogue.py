"""Products and stores: one row per id, the last word counts."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from app.errors import BadInput
from app.imports import import_products, import_stores
from app.imports.report import ImportReport
from app.settings import Settings

NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _products(settings: Settings, text: str) -> ImportReport:
    file = settings.data_dir.parent / "products.csv"
    file.write_text(text, encoding="utf-8")
    return import_products(settings, file, now=NOW, progress=lambda done, total: None)


def _stored(settings: Settings) -> list[dict[str, object]]:
    return pl.read_parquet(settings.tables_dir / "products.parquet").rows(named=True)


def test_prices_become_minor_units_and_any_other_column_stays_text(settings: Settings) -> None:
    report = _products(
        settings, 'product_id,name,price,unit_cost,competitor_price,aisle\n007,"Tea, green",1.995,1,1.89,04\n'
    )
    assert _stored(settings) == [
        {"product_id": "007", "name": "Tea, green", "price_minor": 200, "unit_cost_minor": 100,
         "competitor_price_minor": 189, "currency": "EUR", "aisle": "04"}
    ]  # fmt: skip
    assert (report.rows_read, report.rows_added, report.table) == (1, 1, "products")


def test_a_later_row_wins_and_a_missing_column_keeps_what_is_stored(settings: Settings) -> None:
    _products(settings, "product_id,name,price\na,A,1\nb,B,2\n")
    report = _products(settings, "product_id,price\na,7\na,8\nc,9\n")
    assert _stored(settings) == [
        {"product_id": "a", "name": "A", "currency": "EUR", "price_minor": 800, "listed_at": None},
        {"product_id": "b", "name": "B", "currency": "EUR", "price_minor": 200, "listed_at": None},
        {"product_id": "c", "name": None, "currency": "EUR", "price_minor": 900, "listed_at": NOW},
    ]
    assert (report.rows_read, report.rows_added, report.rows_known) == (3, 2, 1)


def test_amounts_keep_their_currency_and_a_currency_alone_changes_nothing(settings: Settings) -> None:
    _products(settings, "product_id,price,currency\na,500,JPY\nb,5,\n")
    assert _products(settings, "product_id,currency\na,USD\n").ignored_columns == ("currency",)
    assert {row["product_id"]: (row["price_minor"], row["currency"]) for row in _stored(settings)} == {
        "a": (500, "JPY"),
        "b": (500, "EUR"),
    }


def test_first_file_is_no_news_and_a_later_row_keeps_its_date(settings: Settings) -> None:
    _products(settings, "product_id,name\na,A\n")
    assert "listed_at" not in _stored(settings)[0]
    report = _products(settings, "product_id,name,listed_at\nb,B,1999-01-01\n")
    assert report.ignored_columns == ("listed_at",)
    assert _products(settings, "product_id,name\nb,B\n").rows_added == 0
    assert _products(settings, "product_id,name\na,A2\nb,B2\n").rows_added == 2
    assert _stored(settings) == [
        {"product_id": "a", "name": "A2", "listed_at": None},
        {"product_id": "b", "name": "B2", "listed_at": NOW},
    ]


def test_an_empty_value_clears_what_was_stored(settings: Settings) -> None:
    _products(settings, "product_id,name\na,A\n")
    _products(settings, "product_id,name\na,\n")
    assert _stored(settings) == [{"product_id": "a", "name": None}]


def test_the_same_products_again_leave_the_file_alone(settings: Settings) -> None:
    text = "product_id,name,price\na,A,1\nb,,\n"
    _products(settings, text)
    before = (settings.tables_dir / "products.parquet").stat()
    report = _products(settings, text)
    assert (report.rows_added, report.rows_known) == (0, 2)
    assert (settings.tables_dir / "products.parquet").stat().st_ino == before.st_ino


def test_age_limit_is_read_from_what_shops_write_and_refused_where_it_is_none(settings: Settings) -> None:
    written = ["yes", "FALSE", "1", "0", "18", "18+", "ab 16", "", "3 years", "36 months", "adults"]
    report = _products(settings, "product_id,Is Age Restricted\n" + "".join(f"p,{one}\n" for one in written[:-2]))
    assert report.rows_rejected == 0
    _products(settings, "product_id,age_restricted\n" + "".join(f"{row},{one}\n" for row, one in enumerate(written)))
    stored = {row["product_id"]: row["age_restricted"] for row in _stored(settings) if row["product_id"] != "p"}
    assert list(stored.values()) == ["yes", "no", "yes", "no", "18", "18", "16", None, "3"]


def test_faulty_products_are_listed(settings: Settings) -> None:
    report = _products(settings, "product_id,price,recommendable\n,1,yes\nb,-1,\nc,1,perhaps\nd,1,FALSE\n")
    assert (report.rows_added, report.rows_rejected) == (1, 3)
    assert report.rejects_path is not None
    reasons = pl.read_csv(report.rejects_path).select("line", "column", "reason").rows()
    assert reasons == [
        (2, "product_id", "missing"),
        (3, "price", "negative"),
        (4, "recommendable", "not yes or no"),
    ]
    assert _stored(settings) == [{"product_id": "d", "currency": "EUR", "price_minor": 100, "recommendable": "no"}]


def test_a_column_that_the_import_makes_itself_is_ignored_and_named(settings: Settings) -> None:
    report = _products(settings, "product_id,price_minor,\na,5,\n")
    assert report.ignored_columns == ("price_minor", "column 3")
    assert _stored(settings) == [{"product_id": "a"}]


def test_products_without_their_id_are_refused_whole(settings: Settings) -> None:
    with pytest.raises(BadInput, match="product_id"):
        _products(settings, "colour,name\n1,x\n")


def test_stores_keep_whatever_came(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "stores.parquet"
    pl.DataFrame({"store_id": [330, 331], "city": ["Bonn", None], "area_ha": [50.7, 50.8]}).write_parquet(file)
    assert import_stores(settings, file, now=NOW, progress=lambda done, total: None).rows_added == 2
    stored = pl.read_parquet(settings.tables_dir / "stores.parquet")
    assert stored.rows() == [("330", "Bonn", "50.7"), ("331", None, "50.8")]
