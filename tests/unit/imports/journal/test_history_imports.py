"""After any imports, undone ones and replaced ones the history is that of a directory which only saw the live files."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.domain import Event
from app.errors import BadInput
from app.history import History
from app.history.rows import IMPORT_ID, ROW_ID, event_rows
from app.imports import ImportReport, import_events, import_transactions
from app.imports.journal.applied import journal_of
from app.imports.journal.records import Intake
from app.imports.undo import list_imports, undo_import
from app.settings import Settings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SALES = {"a": "112", "b": "1122", "c": "34", "d": "12345", "e": ""}
"""Files of lines by name; a figure that stands there again is a second line of the same."""
EVENTS = {"v": "12", "w": "23", "x": "1234"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "var")


def _event(figure: str) -> Event:
    return Event(figure, "view_item", NOON, customer_id=f"c{figure}")


NOON = NOW - timedelta(days=1)


def _sales(settings: Settings, lines: Sequence[str], *, name: str = "sales.csv", **options: Any) -> ImportReport:
    file = settings.data_dir.parent / name
    file.write_text("\n".join(["customer_id,product_id,timestamp,amount", *lines]) + "\n")
    intake = Intake(by="ann", **{name: options.pop(name) for name in list(options) if name != "shift_to_now"})
    return import_transactions(
        settings, file, now=NOW, progress=_silent, intake=intake, **{"shift_to_now": False} | options
    )


def _line(figure: str) -> str:
    return f"c{figure},p{figure},2026-03-0{figure},{figure}.50"


def _bring(settings: Settings, name: str, **options: Any) -> str:
    """The import's id."""
    if name in SALES:
        lines = [_line(figure) for figure in SALES[name]] or [_line("9")]
        report = _sales(settings, lines, name=f"{name}.csv", **options)
    else:
        file = settings.data_dir.parent / f"{name}.jsonl"
        file.write_bytes(b"\n".join(orjson.dumps({"id": figure}) for figure in EVENTS[name]))
        report = import_events(
            settings,
            file,
            validate=lambda row: [_event(str(row["id"]))],
            now=NOW,
            progress=_silent,
            intake=Intake(**options),
        )
    assert report.import_id is not None
    return report.import_id


def _silent(_done: int, _total: int | None) -> None:
    pass


def _stored(settings: Settings) -> pl.DataFrame:
    return History(settings.history_dir).scan().sort(ROW_ID).collect()


def _by_name(settings: Settings) -> dict[str, str]:
    return {one.record.file.split(".")[0]: one.status for one in list_imports(settings)}


STEP = st.one_of(
    st.tuples(st.just("import"), st.sampled_from([*SALES, *EVENTS])),
    st.tuples(st.just("undo"), st.sampled_from([*SALES, *EVENTS])),
    st.tuples(st.just("replace"), st.sampled_from([*SALES]), st.sampled_from([*SALES])),
    st.tuples(st.just("replace"), st.sampled_from([*EVENTS]), st.sampled_from([*EVENTS])),
    st.tuples(st.just("api"), st.sampled_from("1234")),
    st.tuples(st.just("compact")),
)


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=3, max_size=8))
def test_history_is_that_of_the_live_files_alone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, ...]]
) -> None:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("lived") / "var")
    live: dict[str, str] = {}
    at_the_api: list[str] = []
    for step, *names in steps:
        if step == "import":
            live[names[0]] = _bring(settings, names[0])
        elif step == "undo" and names[0] in live:
            undo_import(settings, live.pop(names[0]), now=NOW)
        elif step == "replace" and names[0] in live and names[0] != names[1]:
            new = _bring(settings, names[1], replaces=live.pop(names[0]))
            live[names[1]] = new
        elif step == "api":
            at_the_api += names
            History(settings.history_dir).append_events(event_rows([_event(names[0])]))
        elif step == "compact":
            History(settings.history_dir).compact()
    clean = Settings.load(data_dir=tmp_path_factory.mktemp("clean") / "var")
    for name in live:
        _bring(clean, name)
    History(clean.history_dir).append_events(event_rows(map(_event, at_the_api)))
    stored = _stored(settings)
    assert stored.drop(IMPORT_ID).equals(_stored(clean).drop(IMPORT_ID))
    assert set(stored[IMPORT_ID].drop_nulls()) <= set(live.values())
    assert {name for name, status in _by_name(settings).items() if status == "done"} == set(live)


def test_record_says_what_came_in(settings: Settings) -> None:
    _sales(settings, [_line("1")], name="first.csv")
    report = _sales(settings, [_line("1"), _line("3"), "c1,,,"], name="sales.csv")
    record = list_imports(settings)[-1].record
    assert (record.import_id, record.table, record.file) == (report.import_id, "transactions", "sales.csv")
    assert (record.mapping, record.by, record.at) == ("canonical", "ann", NOW.isoformat())
    assert record.columns == ("customer_id", "product_id", "timestamp", "amount")
    counts = (record.rows_read, record.rows_added, record.rows_known, record.rows_rejected)
    assert counts == (3, 1, 1, 1)
    assert (record.first_at, record.last_at) == ("2026-03-01T00:00:00+00:00", "2026-03-03T00:00:00+00:00")


def test_same_file_again_is_the_same_import(settings: Settings) -> None:
    first = _sales(settings, [_line("1")])
    assert _sales(settings, [_line("1")], name="another name.csv").import_id == first.import_id
    (listed,) = list_imports(settings)
    assert (listed.status, listed.record.rows_added) == ("done", 1)
    undo_import(settings, str(first.import_id), now=NOW)
    assert _by_name(settings) == {"another name": "undone"}
    assert _sales(settings, [_line("1")]).rows_added == 1
    assert _by_name(settings) == {"sales": "done"}


def test_import_cut_off_before_its_commit_never_was(settings: Settings) -> None:
    first = _sales(settings, [_line("1")], name="first.csv")
    journal = journal_of(settings)
    record = journal.find(str(first.import_id))
    assert record is not None
    (settings.tables_dir / "imports" / ".undo-left").mkdir()
    journal.write(replace(record, import_id="cutoff"))
    journal.known_path("cutoff").touch()
    assert [one.record.import_id for one in list_imports(settings)] == [first.import_id]
    _sales(settings, [_line("2")])
    assert sorted(path.suffix for path in (settings.tables_dir / "imports").iterdir()) == ["", ".json", ".json"]


def test_file_read_in_another_way_asks_before_it_doubles_anything(settings: Settings) -> None:
    first = str(_sales(settings, [_line("1")]).import_id)
    with pytest.raises(BadInput) as refused:
        _sales(settings, [_line("1")], mapping="till")
    assert refused.value.message.endswith(
        f"sales.csv came in on 2026-11-21 as import {first}, read in another way (mapping canonical, this one till);"
        f" --replace {first} takes its place, --keep-both adds"
    )
    both = _sales(settings, [_line("1")], mapping="till", keeps_both=True)
    assert _by_name(settings) == {"sales": "done"}
    undo_import(settings, str(both.import_id), now=NOW)
    second = _sales(settings, [_line("1")], mapping="other", replaces=first)
    statuses = {one.record.mapping: one.status for one in list_imports(settings)}
    assert statuses == {"canonical": "replaced", "till": "undone", "other": "done"}
    with pytest.raises(BadInput, match=f"was replaced by {second.import_id} on 2026-11-21"):
        undo_import(settings, first, now=NOW)


def test_file_in_another_currency_is_read_in_another_way(settings: Settings) -> None:
    _sales(settings, [_line("1")])
    with pytest.raises(BadInput, match=r"\(amounts without a currency are of another one\).*--keep-both"):
        _sales(settings.model_copy(update={"currency": "USD"}), [_line("1")])


def test_import_that_cannot_be_replaced_is_named(settings: Settings) -> None:
    first = str(_sales(settings, [_line("1")]).import_id)
    events = _bring(settings, "v")
    for replaces, words in {
        "nobody": "import 'nobody' is not known; `endcap imports` lists",
        "../x": "is not known",
        first: f"sales.csv is import {first} itself",
        events: f"import {events} is one of events; --replace takes an import of transactions here",
    }.items():
        with pytest.raises(BadInput, match=words):
            _sales(settings, [_line("1")], replaces=replaces)
    with pytest.raises(BadInput, match="brings no row"):
        _sales(settings, [], replaces=first)
    undo_import(settings, first, now=NOW)
    with pytest.raises(BadInput, match="was undone on 2026-11-21"):
        undo_import(settings, first, now=NOW)


def test_time_line_goes_with_the_last_import_that_is_on_it(settings: Settings) -> None:
    def shifted(day: str, **options: Any) -> ImportReport:
        return _sales(settings, [f"c1,p1,{day},1"], shift_to_now=True, **options)

    wrong = shifted("2020-05-01")
    right = shifted("2020-05-11", replaces=wrong.import_id)
    assert (wrong.shift_days or 0) - (right.shift_days or 0) == 10
    assert shifted("2020-05-12", name="later.csv").shift_days == right.shift_days
    undo_import(settings, str(right.import_id), now=NOW)
    again = shifted("2020-05-01")
    assert again.shift_days == right.shift_days
    for listed in list_imports(settings):
        if listed.status == "done":
            undo_import(settings, listed.record.import_id, now=NOW)
    assert shifted("2020-05-01").shift_days == wrong.shift_days


def test_rows_from_before_there_were_records_stay(settings: Settings) -> None:
    line = History(Settings.load(data_dir=settings.data_dir.parent / "other").history_dir)
    other = Settings.load(data_dir=settings.data_dir.parent / "other")
    _sales(other, [_line("1")])
    unrecorded = line.scan().collect().with_columns(import_id=pl.lit(None, pl.String))
    History(settings.history_dir).append_new(unrecorded)
    report = _sales(settings, [_line("1"), _line("2")])
    assert (report.rows_added, report.rows_known) == (1, 1)
    undo_import(settings, str(report.import_id), now=NOW)
    assert _stored(settings).equals(unrecorded)
