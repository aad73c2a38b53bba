"""The history table keeps each row once, whoever writes and however often."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier, Thread

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from app.domain import Event, ProductId
from app.errors import StoreUnavailable
from app.history import History
from app.history.rows import SCHEMA, event_row, event_rows
from app.history.table import KEPT
from tests.support.rows import event_ids

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _event(event_id: str, *, at: datetime = NOON) -> Event:
    return Event(event_id, "view_item", at, channel="web", customer_id="c1", product_id=ProductId("p1"))


def _events(*event_ids: str) -> pl.DataFrame:
    return event_rows(_event(event_id) for event_id in event_ids)


def _imported(*row_ids: str) -> pl.DataFrame:
    return _events(*row_ids).with_columns(source=pl.lit("import"), type=pl.lit("purchase"))


def _ids(history: History) -> list[str]:
    return event_ids(history.scan())


def _together(*tasks: Callable[[], object]) -> None:
    gate = Barrier(len(tasks))
    errors: list[Exception] = []

    def run(task: Callable[[], object]) -> None:
        gate.wait()
        try:
            task()
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_table_never_written_reads_as_empty_with_the_schema(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    assert_frame_equal(history.scan().collect(), pl.DataFrame(schema=SCHEMA))
    assert history.version() is None
    assert history.import_version() is None
    assert history.compact() == 0


def test_an_event_comes_back_as_it_was_given(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    event = Event(
        "e1",
        "purchase",
        NOON.replace(microsecond=123456),
        channel="store",
        customer_id="c1",
        product_id=ProductId("007"),
        basket_id="b1",
        quantity=2.0,
        amount_minor=199,
        currency="EUR",
        store_id="s1",
        session_id="s",
        decision_id="d",
    )
    assert history.append_events(event_rows([event])) == 1
    stored = history.scan().collect()
    assert stored.schema == SCHEMA
    assert stored.row(0, named=True) == event_row(event)


def test_event_times_are_kept_in_utc() -> None:
    at = NOON.astimezone(timezone(timedelta(hours=2)))
    assert event_rows([_event("e1", at=at)])["time"][0] == NOON


def test_a_redelivered_batch_adds_nothing(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    assert history.append_events(_events("a", "b")) == 2
    version = history.version()
    assert history.append_events(_events("a", "b")) == 0
    assert history.version() == version


def test_rows_that_another_writer_added_are_left_out(tmp_path: Path) -> None:
    mine, other = History(tmp_path / "history"), History(tmp_path / "history")
    mine.append_events(_events("a"))
    other.append_events(_events("b"))
    assert mine.append_events(_events("b", "c")) == 1
    assert _ids(mine) == ["a", "b", "c"]


def test_doubles_within_one_batch_count_once_and_the_first_wins(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    again = _events("a").with_columns(product_id=pl.lit("p2"))
    assert history.append_events(pl.concat([_events("a", "b"), again])) == 2
    assert history.scan().collect()["product_id"].to_list() == ["p1", "p1"]


def test_disk_that_takes_nothing_is_no_fault_of_the_rows(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        History(blocked / "history").append_events(_events("a"))


def test_an_empty_batch_writes_nothing(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    assert history.append_events(_events()) == 0
    assert history.version() is None


def test_threads_that_write_the_same_events_keep_each_once(tmp_path: Path) -> None:
    path = tmp_path / "history"
    rows = [_events(*(f"e{n}" for n in range(start, start + 20))) for start in (0, 10, 0, 5)]
    _together(*(lambda r=r: History(path).append_events(r) for r in rows))
    assert _ids(History(path)) == sorted(f"e{n}" for n in range(30))


def test_imports_and_event_writers_all_succeed(tmp_path: Path) -> None:
    history = History(tmp_path / "history")

    def events() -> None:
        writer = History(tmp_path / "history")
        for n in range(8):
            writer.append_events(_events(f"e{n}", f"e{n + 1}"))

    def imports() -> None:
        for n in range(4):
            History(tmp_path / "history").append_new(_imported(f"i{n}", f"i{n + 1}"))

    def compaction() -> None:
        for _ in range(4):
            History(tmp_path / "history").compact()

    _together(events, events, imports, imports, compaction)
    assert _ids(history) == sorted([f"e{n}" for n in range(9)] + [f"i{n}" for n in range(5)])


def _write_many(path: Path) -> None:
    writer = History(path)
    for n in range(10):
        writer.append_events(_events(f"e{n}"))


def test_processes_that_write_the_same_events_keep_each_once(tmp_path: Path) -> None:
    path = tmp_path / "history"
    context = get_context("spawn")
    processes = [context.Process(target=_write_many, args=(path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert _ids(History(path)) == [f"e{n}" for n in range(10)]


def test_a_lost_race_leads_to_a_second_look(tmp_path: Path) -> None:
    """Another import commits between the reading of the ids and the commit: the rows are selected again."""
    history = History(tmp_path / "history")
    reads: list[int] = []

    def absent(files: object) -> list[pl.DataFrame]:
        assert isinstance(files, list)
        reads.append(len(files))
        if len(reads) == 1:
            History(tmp_path / "history").append_new(_imported("a"))
            return [_imported("a", "b")]
        return [_imported("b")]

    assert history.append_absent(absent) == 1
    assert reads == [0, 1]
    assert _ids(history) == ["a", "b"]


def test_compaction_keeps_rows(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    for n in range(3):
        history.append_events(_events(f"e{n}"))
    version = history.version()
    assert history.compact() == 3
    assert _ids(history) == ["e0", "e1", "e2"]
    assert history.version() != version


def test_log_of_a_table_is_kept_for_hours_also_where_it_was_made_before_that(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.append_events(_events("1"))
    table = DeltaTable(tmp_path / "history")
    assert table.metadata().configuration == KEPT
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 30 days"})
    history.compact()
    assert DeltaTable(tmp_path / "history").metadata().configuration == KEPT


def test_an_earlier_version_reads_as_it_was_while_it_is_kept(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    history.append_events(_events("1", "2"))
    _, version = history.snapshot()
    history.append_events(_events("3"))
    assert version is not None
    earlier = history.scan_at(version)
    assert earlier is not None
    assert event_ids(earlier) == ["1", "2"]
    assert history.scan_at(99) is None
    next((tmp_path / "history").glob("*.parquet")).unlink()
    current = history.version()
    assert current is not None
    assert history.scan_at(current) is None


def test_only_an_import_that_adds_rows_changes_the_import_version(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    assert history.append_new(_events("a", "b")) == 2
    version = history.import_version()
    history.append_events(_events("c"))
    history.append_new(_events("a"))
    history.compact()
    assert history.import_version() == version
    assert history.append_new(_events("d")) == 1
    assert history.import_version() != version


def test_each_table_has_an_import_version_of_its_own(tmp_path: Path) -> None:
    one, two = History(tmp_path / "one"), History(tmp_path / "two")
    for history in (one, two):
        history.append_events(_events("a"))
    assert one.import_version() != two.import_version()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(st.lists(st.integers(0, 9)), st.integers(0, 1)), max_size=5))
def test_any_order_of_batches_and_writers_keeps_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[list[int], int]]
) -> None:
    path = tmp_path_factory.mktemp("history") / "table"
    writers = [History(path), History(path)]
    added = sum(writers[writer].append_events(_events(*map(str, numbers))) for numbers, writer in batches)
    expected = {str(n) for numbers, _ in batches for n in numbers}
    assert _ids(History(path)) == sorted(expected)
    assert added == len(expected)
