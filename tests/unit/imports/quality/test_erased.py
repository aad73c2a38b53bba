"""No file brings back who was erased, and no list repeats their rows."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from app.history import History
from app.imports import ImportReport, import_events, import_transactions
from app.imports.journal.records import BY_NOBODY
from app.imports.quality.erased import ERASED, IsErased, nobody
from app.imports.run import Sources, run_imports
from app.imports.undo import list_imports
from app.ingest.schema import parse_event
from app.settings import Settings
from tests.support.traces import as_written, files_with

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HEADER = "customer_id,product_id,basket_id,timestamp,quantity,amount"
GONE, DEVICE = "canary-90", "device-90"
LINES = [
    f"{GONE},p1,b1,2026-03-01T10:00:00Z,1,1.99",
    "900,p1,b2,2026-03-01T10:00:00Z,1,1.99",
    f"{GONE},p1,b1,2026-03-01T10:00:00Z,1,1.99",
    f" {GONE} ,p1,b1,no time,many,1.99",
    "900,p1,b2,2026-03-01T10:00:00Z,1,1.99",
    "90,p1,b2,no time,1,1.99",
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _is_gone(people: pl.DataFrame) -> pl.Series:
    assert people.columns == ["customer_id", "anonymous_id"]
    assert people.is_unique().all()
    gone = (pl.col("customer_id") == GONE) | (pl.col("anonymous_id") == DEVICE)
    return people.select(gone.fill_null(False)).to_series()


def _after(calls: int) -> IsErased:
    """Nobody is erased at first, and the person from so many calls on."""
    seen = []

    def is_erased(people: pl.DataFrame) -> pl.Series:
        seen.append(people)
        return nobody(people) if len(seen) <= calls else _is_gone(people)

    return is_erased


def _sales(settings: Settings, lines: Iterable[str], is_erased: IsErased = _is_gone) -> ImportReport:
    file = settings.data_dir.parent / "sales.csv"
    file.write_text("\n".join([HEADER, *lines]) + "\n")
    intake = replace(BY_NOBODY, is_erased=is_erased)
    return import_transactions(settings, file, shift_to_now=False, now=NOW, progress=lambda *_: None, intake=intake)


def _event(event_id: str, **fields: object) -> dict[str, object]:
    return {"id": event_id, "type": "view_item", "time": "2026-03-01T10:00:00Z", "product_id": "p1", **fields}


EVENTS = [
    _event("e1", customer_id=GONE),
    _event("e2", customer_id="900"),
    _event("e3", customer_id=f" {GONE} ", time="never"),
    _event("e4", anonymous_id=DEVICE),
    _event("e5", customer_id=GONE, product_id=None, items=[{"product_id": "p1"}, {"product_id": "p2"}]),
    _event("e6", customer_id="90", time="never"),
]


def _happened(settings: Settings, events: Iterable[dict[str, object]], is_erased: IsErased = _is_gone) -> ImportReport:
    file = settings.data_dir.parent / "events.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in events))
    validate = partial(parse_event, client="local", now=NOW)
    intake = replace(BY_NOBODY, is_erased=is_erased)
    return import_events(settings, file, validate=validate, now=NOW, progress=lambda *_: None, intake=intake)


def _customers(settings: Settings) -> list[str]:
    return sorted(History(settings.history_dir).scan().collect()["customer_id"])


def _is_balanced(report: ImportReport) -> bool:
    return report.rows_read == report.rows_added + report.rows_known + report.rows_rejected


def test_lines_of_an_erased_person_stay_out_sound_or_not(settings: Settings) -> None:
    report = _sales(settings, LINES)
    assert (report.rows_read, report.rows_added, report.rows_rejected) == (6, 2, 4)
    assert report.reasons[ERASED] == 3
    assert any("erased" in line for line in report.lines())
    assert _customers(settings) == ["900", "900"]
    assert report.rejects_path is not None
    assert "90,p1,b2,no time" in report.rejects_path.read_text()
    assert files_with(settings.data_dir, as_written(GONE, DEVICE)) == {}
    assert _sales(settings, LINES).rows_added == 0


def test_events_of_an_erased_person_stay_out_sound_or_not(settings: Settings) -> None:
    report = _happened(settings, EVENTS)
    assert (report.rows_added, report.rows_rejected, report.reasons[ERASED]) == (1, 5, 4)
    assert _is_balanced(report)
    assert _customers(settings) == ["900"]
    assert files_with(settings.data_dir, as_written(GONE, DEVICE)) == {}


@pytest.mark.parametrize("bring", [partial(_sales, lines=LINES[:3]), partial(_happened, events=EVENTS[:2])])
def test_who_is_erased_while_a_file_is_read_does_not_come_in(
    settings: Settings, bring: Callable[..., ImportReport]
) -> None:
    report = bring(settings, is_erased=_after(1))
    assert set(_customers(settings)) == {"900"}
    assert report.reasons[ERASED] == report.rows_rejected == report.rows_read - report.rows_added
    assert [each.record.rows_rejected for each in list_imports(settings)] == [report.rows_rejected]


def test_rows_of_others_have_the_ids_that_they_have_without_the_person(settings: Settings, tmp_path: Path) -> None:
    _sales(settings, LINES[:2] + LINES[4:5], _after(1))
    ids = set(History(settings.history_dir).scan().collect()["row_id"])
    other = Settings.load(data_dir=tmp_path / "other")
    _sales(other, LINES[:2] + LINES[4:5], nobody)
    theirs = History(other.history_dir).scan().filter(pl.col("customer_id") == "900").collect()["row_id"]
    assert ids == set(theirs)


def test_a_file_of_nobody_else_adds_no_row(settings: Settings) -> None:
    assert _sales(settings, LINES[:1]).rows_added == 0
    assert _happened(settings, EVENTS[:1], _after(1)).rows_added == 0


def test_redemptions_of_an_erased_person_stay_out(settings: Settings, tmp_path: Path) -> None:
    files = {
        "campaigns": "campaign_id,name,currency,starts_at,ends_at\nk,K,EUR,2026-01-01,2026-02-01\n",
        "audience": f"campaign_id,customer_id,timestamp\nk,{GONE},2026-01-01\nk,900,2026-01-01\n",
    }
    for table, content in files.items():
        (tmp_path / f"{table}.csv").write_text(content)
    sources = Sources(campaigns=tmp_path / "campaigns.csv", audience=tmp_path / "audience.csv")
    intake = replace(BY_NOBODY, is_erased=_is_gone)
    reports = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=lambda *_: None, intake=intake)
    audience = next(report for report in reports if report.table == "audience")
    assert (audience.rows_added, audience.reasons) == (1, {ERASED: 1})
    assert files_with(settings.data_dir, as_written(GONE)) == {}
