"""The history knows which import brought a row, and takes one back in a single commit."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from app.domain import Event
from app.history import History
from app.history.rows import IMPORT_ID, ROW_ID, SCHEMA, event_rows
from app.history.table import Replacement
from tests.support.rows import history_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD_COLUMNS = [name for name in SCHEMA if name != IMPORT_ID]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def _rows(*row_ids: str, source: str = "import", of: str | None = None) -> pl.DataFrame:
    return history_of(({"row_id": name} for name in row_ids), source=source, import_id=of).collect()


def _events(*event_ids: str) -> pl.DataFrame:
    return event_rows(Event(name, "view_item", NOON, customer_id="c1") for name in event_ids)


def _bring(history: History, import_id: str, *row_ids: str) -> int:
    return history.append_absent(lambda _: [_rows(*row_ids)], import_id=import_id)


def _owners(history: History) -> dict[str, str | None]:
    rows = history.scan().select(ROW_ID, IMPORT_ID).collect().rows()
    assert len(rows) == len(dict(rows))
    return dict(rows)


def _nothing(_: Sequence[str]) -> Replacement:
    return Replacement([], [])


def _old_table(path: Path) -> None:
    old = _rows("old").select(OLD_COLUMNS)
    DeltaTable.create(path, schema=old.to_arrow().schema)
    write_deltalake(path, old.to_arrow(), mode="append")


def test_table_made_before_imports_had_ids_is_read_and_written(history: History, tmp_path: Path) -> None:
    _old_table(tmp_path / "history")
    assert history.scan().collect().schema == SCHEMA
    assert _owners(history) == {"old": None}
    first = history.version()
    assert first is not None
    assert history.append_new(_rows("old", "new")) == 1
    assert _bring(history, "A", "a1", "a2") == 2
    assert history.append_events(_events("e")) == 1
    history.undo("A", _nothing)
    history.compact()
    assert {name.split(" ")[-1] if "old" not in name else name for name in _owners(history)} >= {"old"}
    assert len(_owners(history)) == 3
    earlier = history.scan_at(first)
    assert earlier is not None
    assert earlier.collect().schema == SCHEMA


def _write_one(path: Path, name: str) -> None:
    History(path).append_new(_rows(name))


def test_writers_that_meet_an_old_table_at_once_all_succeed(history: History, tmp_path: Path) -> None:
    _old_table(tmp_path / "history")
    context = get_context("spawn")
    processes = [context.Process(target=_write_one, args=(tmp_path / "history", f"n{n}")) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(_owners(history)) == ["n0", "n1", "n2", "old"]


def test_whether_an_import_is_applied_is_part_of_the_commit_of_its_rows(history: History, tmp_path: Path) -> None:
    assert history.applied(["A"]) == set()
    _bring(history, "A", "1")
    version = history.version()
    assert _bring(history, "A") == 0
    assert history.version() == version
    assert _bring(history, "B") == 0
    assert history.applied(["A", "B", "C"]) == {"A", "B"}
    history.undo("A", _nothing, instead="C")
    DeltaTable(tmp_path / "history").create_checkpoint()
    assert history.applied(["A", "B", "C"]) == {"B", "C"}
    _bring(history, "A", "1")
    assert history.applied(["A", "B", "C"]) == {"A", "B", "C"}
    assert _owners(history) == {"1": "A"}


def test_taking_an_import_back_touches_no_other_row(history: History) -> None:
    history.append_new(_rows("unowned"))
    _bring(history, "A", "a1", "a2")
    history.append_events(_events("e"))
    _bring(history, "B", "b1")
    history.compact()
    history.undo("A", lambda _: Replacement(["B"], [_rows("a2", "b1", of="B"), _rows("c1", of="C")]), instead="C")
    owners = _owners(history)
    assert owners.pop(_events("e")[ROW_ID][0]) is None
    assert owners == {"unowned": None, "a2": "B", "b1": "B", "c1": "C"}


def test_events_that_come_in_meanwhile_are_neither_lost_nor_doubled(history: History, tmp_path: Path) -> None:
    history.append_events(_events("e1"))
    _bring(history, "A", "a1")
    history.compact()
    tries: list[int] = []

    def replaced(files: Sequence[str]) -> Replacement:
        tries.append(len(files))
        History(tmp_path / "history").append_events(_events("e1", "e2"))
        return Replacement([], [])

    history.undo("A", replaced)
    assert tries == [1]
    assert sorted(_owners(history)) == sorted(_events("e1", "e2")[ROW_ID])


@pytest.mark.parametrize("disturbance", ["compaction", "import"])
def test_compaction_or_import_meanwhile_makes_it_look_again(history: History, tmp_path: Path, disturbance: str) -> None:
    other = History(tmp_path / "history")
    _bring(history, "A", "a1")
    _bring(history, "B", "b1")
    tries: list[int] = []

    def replaced(files: Sequence[str]) -> Replacement:
        tries.append(len(files))
        if len(tries) == 1:
            other.compact() if disturbance == "compaction" else _bring(other, "C", "c1")
        return Replacement([], [])

    history.undo("A", replaced)
    assert tries == ([2, 1] if disturbance == "compaction" else [2, 3])
    assert _owners(history) == ({"b1": "B"} if disturbance == "compaction" else {"b1": "B", "c1": "C"})


def test_event_that_the_api_brings_too_outlives_its_file(history: History) -> None:
    quoted = "it's one of O'Hara's"
    history.append_absent(lambda _: [_events(quoted, "only by file")], import_id="F", with_events=True)
    version = history.import_version()
    assert history.append_events(_events(quoted, "new")) == 1
    assert history.import_version() == version
    assert history.append_events(_events(quoted)) == 0
    history.undo("F", _nothing, with_events=True)
    assert _owners(history) == dict.fromkeys(_events(quoted, "new")[ROW_ID])


def test_event_in_a_file_and_at_the_api_at_once_counts_once(history: History, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        at_the_api: list[Future[int]] = []

        def absent(files: Sequence[str]) -> list[pl.DataFrame]:
            known = [name for file in files for name in pl.read_parquet(file)[ROW_ID]]
            at_the_api.append(pool.submit(History(tmp_path / "history").append_events, _events("e")))
            wait(at_the_api, timeout=0.5)  # It waits for its turn; without one it would be done by then.
            return [_events("e").filter(~pl.col(ROW_ID).is_in(known))]

        history.append_absent(absent, import_id="F", with_events=True)
        assert [task.result() for task in at_the_api] == [0]
    assert _owners(history) == {_events("e")[ROW_ID][0]: None}


def test_what_was_derived_from_the_history_learns_that_rows_went(history: History) -> None:
    assert history.removal_version() is None
    _bring(history, "A", "1")
    _bring(history, "B", "2")
    imports, removals = history.import_version(), history.removal_version()
    history.append_events(_events("e"))
    history.compact()
    _bring(history, "C")
    assert (history.import_version(), history.removal_version()) == (imports, removals)
    history.undo("A", _nothing)
    assert history.import_version() != imports
    assert history.removal_version() != removals
