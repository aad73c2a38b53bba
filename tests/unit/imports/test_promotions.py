"""Promotions: a row per product, store and start; the last word counts, and nothing is stored twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from app.errors import BadInput
from app.imports import import_promotions
from app.imports.report import ImportReport
from app.imports.run import Sources, run_imports
from app.settings import Settings

MONDAY = datetime(2026, 10, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _import(settings: Settings, text: str, *, shift_days: int = 0) -> ImportReport:
    file = settings.data_dir.parent / "promotions.csv"
    file.write_text(text, encoding="utf-8")
    return import_promotions(settings, file, shift_days=shift_days, now=NOW, progress=lambda done, total: None)


def _stored(settings: Settings) -> list[tuple[object, ...]]:
    return sorted(pl.read_parquet(settings.tables_dir / "promotions.parquet").rows(), key=str)


def test_a_start_alone_is_a_week_and_zero_or_nothing_means_not_shown(settings: Settings) -> None:
    text = "product_id,store_id,starts_at,display,flyer\n007,12,2026-10-05,0,front page\n008,,20261005,aisle end,\n"
    report = _import(settings, text)
    assert _stored(settings) == [
        ("007", "12", MONDAY, MONDAY + WEEK, None, "front page"),
        ("008", None, MONDAY, MONDAY + WEEK, "aisle end", None),
    ]
    assert (report.table, report.rows_read, report.rows_added) == ("promotions", 2, 2)


def test_the_same_promotions_again_change_nothing_and_a_later_row_overrules(settings: Settings) -> None:
    text = "product_id,starts_at,ends_at\na,2026-10-05,2026-10-08\nb,2026-10-05,\nb,2026-10-12,\n"
    _import(settings, text)
    assert _import(settings, text).rows_added == 0
    report = _import(settings, "product_id,starts_at,flyer\nb,2026-10-05,no\nb,2026-10-05,2\nc,2026-09-28,\n")
    assert (report.rows_read, report.rows_added, report.rows_known) == (3, 2, 1)
    assert _stored(settings) == [
        ("a", None, MONDAY, datetime(2026, 10, 8, tzinfo=UTC), None, None),
        ("b", None, MONDAY + WEEK, MONDAY + 2 * WEEK, None, None),
        ("b", None, MONDAY, MONDAY + WEEK, None, "2"),
        ("c", None, MONDAY - WEEK, MONDAY, None, None),
    ]


def test_what_cannot_be_a_promotion_is_refused_row_by_row(settings: Settings) -> None:
    report = _import(
        settings,
        "product_id,starts_at,ends_at,price\n,2026-10-05,,\na,,,\nb,soon,,\nc,2026-10-05,2026-10-05,\nd,2026-10-05,,1\n",
    )
    assert (report.rows_read, report.rows_added, report.rows_rejected) == (5, 1, 4)
    assert report.ignored_columns == ("price",)
    assert report.rejects_path is not None
    refused = pl.read_csv(report.rejects_path)
    assert refused["column"].to_list() == ["product_id", "starts_at", "starts_at", "ends_at"]
    assert [reason.split(":")[0] for reason in refused["reason"]] == [
        "missing",
        "missing",
        "not a time",
        "not after starts_at",
    ]


def test_promotions_move_as_far_as_the_transactions_did(settings: Settings) -> None:
    folder = settings.data_dir.parent
    (folder / "sales.csv").write_text("customer_id,product_id,timestamp\nann,a,2026-01-01\n")
    (folder / "promotions.csv").write_text("product_id,starts_at\na,2026-01-01\n")
    promotions = Sources(promotions=folder / "promotions.csv")
    now = datetime(2026, 1, 12, 9, tzinfo=UTC)
    with pytest.raises(BadInput, match="--shift-to-now moves promotions as far as transactions"):
        run_imports(settings, promotions, shift_to_now=True, now=now, progress=lambda name, done, total: None)
    both = Sources(transactions=folder / "sales.csv", promotions=folder / "promotions.csv")
    reports = run_imports(settings, both, shift_to_now=True, now=now, progress=lambda name, done, total: None)
    assert [report.shift_days for report in reports] == [10, 10]
    assert _stored(settings)[0][2] == datetime(2026, 1, 11, tzinfo=UTC)
