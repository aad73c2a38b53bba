"""A person who is erased leaves no byte in the table's folder, whoever else reads and writes it."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from app.customers.keys import PersonKeys
from app.domain import Event
from app.errors import StoreUnavailable
from app.history import History
from app.history.rows import IMPORT_ID, ROW_ID, SCHEMA, event_rows
from app.history.table import FILES_LOCK, KEPT, Replacement
from tests.support.rows import history_of
from tests.support.traces import as_written, files_with

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CANARY, DEVICE = "canary-90", "device-90"
KEYS = PersonKeys(frozenset({CANARY}), frozenset({DEVICE}))
MARK = "of-the-canary"
"""Part of everything else that only the person's rows say."""


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def _lines(customer_id: str | None, *names: str, anonymous_id: str | None = None) -> pl.DataFrame:
    mark = MARK if customer_id == CANARY or anonymous_id == DEVICE else "any"
    rows = ({"row_id": f"{mark} {name}", "basket_id": f"{mark}-{name}", "session_id": mark} for name in names)
    ids = {"customer_id": customer_id, "anonymous_id": anonymous_id}
    return history_of(rows, source="import", type="purchase", time=NOON, **ids).collect()


def _event(name: str, customer_id: str | None = None, anonymous_id: str | None = None) -> pl.DataFrame:
    return event_rows([Event(name, "view_item", NOON, customer_id=customer_id, anonymous_id=anonymous_id)])


def _bring(history: History, import_id: str, *rows: pl.DataFrame) -> int:
    return history.append_absent(lambda _: rows, import_id=import_id)


def _traces(history_dir: Path, *ids: str) -> dict[str, int]:
    return files_with(history_dir, as_written(*(ids or (CANARY, DEVICE, MARK))))


def _names(history: History) -> list[str]:
    return sorted(name.removeprefix("any ") for name in history.scan().collect()[ROW_ID])


def _filled(history: History) -> None:
    _bring(history, "A", _lines(CANARY, "1", "2"), _lines("900", "3"), _lines("90", "4"))
    history.append_events(pl.concat([_event(f"e5-{MARK}", CANARY), _event("e6", "canary-9")]))
    history.compact()
    history.append_events(pl.concat([_event(f"e7-{MARK}", None, DEVICE), _event("e8", None, "device-9")]))
    _bring(history, "B", _lines(CANARY, "9"))


STAYING = ["3", "4", "local e6 0 2026-11-21T12:00:00.000000Z", "local e8 0 2026-11-21T12:00:00.000000Z"]


def test_nothing_of_an_erased_person_is_left_in_any_file(history: History, tmp_path: Path) -> None:
    _filled(history)
    DeltaTable(tmp_path / "history").create_checkpoint()
    assert len(_traces(tmp_path / "history")) > 2
    assert history.erase(KEYS) == 5
    assert _traces(tmp_path / "history") == {}
    assert _names(history) == STAYING


def test_log_of_a_table_from_before_forgets_what_its_statistics_say(history: History, tmp_path: Path) -> None:
    path = tmp_path / "history"
    old = [name for name in SCHEMA if name != IMPORT_ID]
    DeltaTable.create(path, schema=pl.DataFrame(schema=SCHEMA).select(old).to_arrow().schema)
    for rows in (_lines(CANARY, "1"), _lines("900", "3"), _lines(None, "2", anonymous_id=DEVICE)):
        write_deltalake(path, rows.select(old).to_arrow(), mode="append")
    DeltaTable(path).create_checkpoint()
    write_deltalake(path, pl.concat([_lines(CANARY, "5"), _lines("1", "4")]).select(old).to_arrow(), mode="append")
    assert {Path(name).suffix for name in _traces(path / "_delta_log")} == {".json", ".parquet"}
    ages = {each.name: each.stat().st_mtime_ns for each in (path / "_delta_log").glob("*.json")}
    assert history.erase(KEYS) == 3
    assert _traces(path) == {}
    assert _names(history) == ["3", "4"]
    assert {name: (path / "_delta_log" / name).stat().st_mtime_ns for name in ages} == ages
    assert DeltaTable(path).metadata().configuration == KEPT


def test_log_forgets_the_ids_that_an_exchange_looked_for(history: History, tmp_path: Path) -> None:
    event = _event(f"e1-{MARK}", CANARY)
    history.append_absent(lambda _: [event], import_id="A", with_events=True)
    history.append_events(event)
    assert any(name.endswith(".json") for name in _traces(tmp_path / "history"))
    assert history.erase(KEYS) == 1
    assert _traces(tmp_path / "history") == {}


AWKWARD = ["O'Neill", 'a"b', "a/b\\c", "Käthe 東京", "%_*", "' or true --", "90 ", "null"]


@pytest.mark.parametrize("name", AWKWARD)
def test_ids_of_any_characters_are_found_exactly(history: History, tmp_path: Path, name: str) -> None:
    others = [f"{name}0", f"0{name}", name.upper() if name.upper() != name else f"{name}!", "x"]
    _bring(history, "A", *(_lines(other, other) for other in others), _lines(name, "theirs"))
    assert history.of_person(PersonKeys(frozenset({name})))["row_id"].to_list() == ["any theirs"]
    assert history.erase(PersonKeys(frozenset({name}))) == 1
    assert sorted(history.scan().collect()["customer_id"]) == sorted(others)
    assert history.erase(PersonKeys(anonymous_ids=frozenset({name}))) == 0


def test_rows_of_another_customer_stay_without_the_devices_id(history: History, tmp_path: Path) -> None:
    _bring(history, "A", _lines("mother", "1").with_columns(anonymous_id=pl.lit(DEVICE)), _lines(CANARY, "2"))
    assert history.of_person(KEYS)["customer_id"].to_list() == [CANARY]
    assert history.erase(KEYS) == 1
    rows = history.scan().select("row_id", "customer_id", "anonymous_id", IMPORT_ID).collect().rows()
    assert rows == [("any 1", "mother", None, "A")]
    assert _traces(tmp_path / "history") == {}


def test_every_row_of_a_person_is_given_the_oldest_first(history: History) -> None:
    _filled(history)
    rows = history.of_person(KEYS)
    assert rows.schema == SCHEMA
    assert rows["customer_id"].to_list().count(CANARY) == 4
    assert rows.height == 5
    assert rows["time"].is_sorted()
    assert history.of_person(PersonKeys()).is_empty()


def test_imports_stay_known_and_what_was_derived_is_of_before(history: History) -> None:
    _filled(history)
    versions = (history.import_version(), history.removal_version())
    history.erase(KEYS)
    erased = (history.import_version(), history.removal_version())
    assert all(before != after for before, after in zip(versions, erased, strict=True))
    assert history.applied(["A", "B", "C"]) == {"A", "B"}
    version = history.version()
    assert history.erase(KEYS) == 0
    assert (history.version(), history.import_version(), history.removal_version()) == (version, *erased)


def test_table_goes_on_as_before(history: History, tmp_path: Path) -> None:
    _filled(history)
    version = history.version()
    assert version is not None
    history.erase(KEYS)
    assert history.scan_at(version) is None
    history.undo("A", lambda _: Replacement(["B"], [_lines("900", "3").with_columns(pl.lit("B").alias(IMPORT_ID))]))
    assert history.append_events(_event("e10", "c1")) == 1
    assert history.append_events(_event("e6", "canary-9")) == 0
    assert history.compact() > 1
    table = DeltaTable(tmp_path / "history")
    table.create_checkpoint()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    assert _names(history) == ["3", *(f"local {name} 0 2026-11-21T12:00:00.000000Z" for name in ("e10", "e6", "e8"))]


def test_a_history_that_is_not_there_holds_nobody(history: History, tmp_path: Path) -> None:
    assert history.erase(KEYS) == 0
    assert history.of_person(KEYS).is_empty()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_nobody_else_goes_whole(history: History, tmp_path: Path) -> None:
    _bring(history, "A", _lines(CANARY, "1", "2"))
    assert history.erase(KEYS) == 2
    assert list((tmp_path / "history").glob("*.parquet")) == []
    assert _bring(history, "A", _lines("1", "3")) == 1


def test_files_without_the_person_are_not_touched(history: History, tmp_path: Path) -> None:
    _bring(history, "A", _lines("1", "1"))
    before = {path.name for path in (tmp_path / "history").glob("*.parquet")}
    _bring(history, "B", _lines(CANARY, "2"), _lines("2", "3"))
    history.erase(KEYS)
    assert before < {path.name for path in (tmp_path / "history").glob("*.parquet")}


def test_what_killed_writers_left_goes_too(history: History, tmp_path: Path) -> None:
    _bring(history, "A", _lines("1", "1"))
    left = tmp_path / "history" / "part-00000-left.zstd.parquet"
    _lines(CANARY, "2").write_parquet(left)
    half = tmp_path / "history" / "part-00001-half.zstd.parquet"
    half.write_bytes(left.read_bytes()[:200])
    (tmp_path / "history" / "_delta_log" / "_commit_1.json.tmp").write_text(CANARY)
    assert history.erase(KEYS) == 0
    assert _traces(tmp_path / "history") == {}
    assert not left.exists()
    assert not half.exists()


def test_files_that_a_reader_keeps_are_there_until_it_has_ended(history: History, tmp_path: Path) -> None:
    _filled(history)
    with ThreadPoolExecutor() as threads:
        with history.kept():
            rows = history.scan()
            erasure = threads.submit(history.erase, KEYS)
            while history.removal_version() == "0":
                time.sleep(0.01)
            history.append_events(_event("e11", "c1"))
            assert rows.collect().height == 9
            assert not erasure.done()
        assert erasure.result(timeout=60) == 5
    assert _traces(tmp_path / "history") == {}


def test_disk_that_takes_nothing_is_named(history: History, tmp_path: Path) -> None:
    _filled(history)
    (tmp_path / "history" / FILES_LOCK).unlink()
    (tmp_path / "history" / FILES_LOCK).mkdir()
    with pytest.raises(StoreUnavailable, match="call it again"):
        history.erase(KEYS)


def test_no_row_is_lost_or_doubled_by_those_who_write_meanwhile(history: History, tmp_path: Path) -> None:
    _filled(history)
    ended = Flag()

    def appends() -> None:
        for number in range(15):
            History(tmp_path / "history").append_events(_event(f"n{number}", "c1"))
            History(tmp_path / "history").append_events(_event(f"c{number}-{MARK}", CANARY))

    def imports() -> None:
        for number in range(8):
            _bring(
                History(tmp_path / "history"), f"I{number}", _lines("c2", f"i{number}"), _lines(CANARY, f"c{number}")
            )
            History(tmp_path / "history").compact()

    def erases() -> None:
        while not ended.is_set():
            History(tmp_path / "history").erase(KEYS)

    with ThreadPoolExecutor() as threads:
        eraser = threads.submit(erases)
        writers = [threads.submit(each) for each in (appends, imports)]
        for each in writers:
            each.result(timeout=120)
        ended.set()
        eraser.result(timeout=60)
    history.erase(KEYS)
    expected = [
        *STAYING,
        *(f"i{n}" for n in range(8)),
        *(f"local n{n} 0 2026-11-21T12:00:00.000000Z" for n in range(15)),
    ]
    assert _names(history) == sorted(expected)
    assert history.applied([f"I{n}" for n in range(8)]) == {f"I{n}" for n in range(8)}
    assert _traces(tmp_path / "history") == {}


_ERASE = """
import sys
from pathlib import Path
from app.customers.keys import PersonKeys
from app.history import History
print("ready", flush=True)
sys.stdin.readline()
History(Path(sys.argv[1])).erase(PersonKeys(frozenset({sys.argv[2]}), frozenset({sys.argv[3]})))
"""


def _killed(path: Path, after_s: float) -> None:
    command: Sequence[str] = [sys.executable, "-c", _ERASE, str(path), CANARY, DEVICE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(after_s)
        process.kill()


@pytest.mark.parametrize("seed", range(6))
def test_an_erasure_that_is_cut_off_anywhere_ends_the_same_when_called_again(
    history: History, tmp_path: Path, seed: int
) -> None:
    _filled(history)
    DeltaTable(tmp_path / "history").create_checkpoint()
    draw = random.Random(seed + int(os.environ.get("ENDCAP_TEST_SEED", "0")))
    _killed(tmp_path / "history", draw.uniform(0, 0.12))
    assert set(STAYING) <= set(_names(history))
    history.erase(KEYS)
    assert _traces(tmp_path / "history") == {}
    assert _names(history) == STAYING
    listed = set(DeltaTable(tmp_path / "history").get_add_actions(flatten=True)["path"].to_pylist())
    assert listed <= {path.name for path in (tmp_path / "history").glob("*.parquet")}
