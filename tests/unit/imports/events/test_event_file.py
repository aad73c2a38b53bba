"""A file of events: each id once, each refused line listed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain import Event
from app.errors import BadInput
from app.history import History
from app.imports import ImportReport, import_events
from app.settings import Settings
from tests.support.rows import event_ids

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _validate(row: dict[str, object]) -> list[Event]:
    """A validator small enough to see through: an id is due, `quantity` makes several rows of one event."""
    if "id" not in row:
        raise BadInput("an event needs an id", pointer="/id")
    time = datetime(2026, 11, 21, tzinfo=UTC)
    count = int(str(row.get("quantity", 1)))
    return [Event(str(row["id"]), "purchase", time, item=n) for n in range(count)]


def _import(settings: Settings, content: bytes) -> ImportReport:
    file = settings.data_dir.parent / "events.jsonl"
    file.write_bytes(content)
    return import_events(settings, file, validate=_validate, now=NOW, progress=lambda done, total: None)


def test_events_come_in_once_per_id(settings: Settings) -> None:
    content = b'{"id": "a", "quantity": 2}\n\n{"id": "b"}\n{"id": "b"}'
    first = _import(settings, content)
    assert (first.rows_read, first.rows_added, first.rows_known) == (4, 3, 1)
    version = History(settings.history_dir).version()
    again = _import(settings, content)
    assert (again.rows_added, again.rows_known) == (0, 4)
    assert History(settings.history_dir).version() == version
    assert event_ids(History(settings.history_dir).scan()) == ["a", "a", "b"]


def test_refused_lines_are_listed_with_their_reason(settings: Settings) -> None:
    report = _import(settings, b'{"id": "a"}\n{"x": 1}\n[1]\n{"id": \n\xff\n')
    assert (report.rows_added, report.rows_rejected) == (1, 4)
    assert report.rejects_path is not None
    lines = report.rejects_path.read_text(encoding="utf-8").splitlines()
    assert lines[1].startswith("2,/id,,an event needs an id,")
    assert "JSON list" in lines[2]
    assert "not JSON" in lines[3]
    assert "not JSON" in lines[4]


def test_refused_value_stands_next_to_its_place(settings: Settings) -> None:
    def refusing(row: dict[str, object]) -> list[Event]:
        raise BadInput("/lines/1/price: no number", pointer="/lines/1/price")

    file = settings.data_dir.parent / "events.jsonl"
    file.write_text('{"id": "a", "lines": [{}, {"price": "cheap"}]}\n')
    report = import_events(settings, file, validate=refusing, now=NOW, progress=lambda done, total: None)
    assert report.rejects_path is not None
    assert report.rejects_path.read_text().splitlines()[1].startswith("1,/lines/1/price,cheap,no number,")


def test_files_of_no_use_are_refused_whole(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="empty"):
        _import(settings, b"")
    with pytest.raises(BadInput, match="cannot be read"):
        import_events(settings, tmp_path / "no", validate=_validate, now=NOW, progress=lambda done, total: None)


def test_the_report_is_plain_json(settings: Settings) -> None:
    report = json.loads(json.dumps(_import(settings, b'{"id": "a"}\n{}\n').to_dict()))
    assert report["table"] == "events"
    assert report["rows_rejected"] == 1
    assert report["rejects_path"].endswith(".csv")


def test_byte_order_mark_of_an_editor_costs_no_event(settings: Settings) -> None:
    report = _import(settings, b'\xef\xbb\xbf{"id": "a"}\n{"id": "b"}\n')
    assert (report.rows_added, report.rows_rejected) == (2, 0)
