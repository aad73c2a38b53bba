"""Whoever is erased is in no file any more, whatever had brought them there; what is exported is all that there was."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import redis

from app.customers.keys import PersonKeys
from app.erasure.files import PLACES, erase_from_files, found_in_files
from app.files import turn
from app.history import History
from app.imports.reading.scratch import LOCK, importing
from app.imports.run import Sources, run_imports
from app.imports.undo import list_imports
from app.settings import Settings
from app.stores.feast.offline import snapshot_files, snapshots_held
from app.stores.feast.online_row import customer_key
from app.stores.feast.push import forget_online
from app.stores.jobs.folder import Jobs
from tests.support.traces import as_written, files_with
from tests.support.world import World, customer, no_progress

NOW = datetime(2026, 10, 1, tzinfo=UTC)
GONE = customer("tea", 39)
KEYS = PersonKeys(frozenset({GONE}), frozenset({"device-of-39"}))
HEADER = "customer_id,product_id,timestamp,amount"
LINE = f"{GONE},tea-1,2026-09-01T10:00:00Z,1.99"
EVENT = {"id": "event-of-39", "type": "view_item", "time": "2026-09-01T10:00:00Z", "product_id": "tea-1"}


def _import(settings: Settings, folder: Path, *, events: bool = False, name: str = "sales", lines: list[str]) -> None:
    file = folder / f"{name}.{'jsonl' if events else 'csv'}"
    file.write_text("\n".join(lines if events else [HEADER, *lines]) + "\n")
    sources = Sources(events=file) if events else Sources(transactions=file)
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)


def _traces(settings: Settings) -> dict[str, int]:
    return files_with(settings.data_dir, as_written(GONE, "device-of-39", "event-of-39"))


@pytest.fixture
def filled(trained_world: World, tmp_path: Path) -> Settings:
    """The trained world's files, and the person wherever a file may name one."""
    data_dir = tmp_path / "var"
    shutil.copytree(trained_world.settings.data_dir, data_dir)
    settings = trained_world.settings.model_copy(update={"data_dir": data_dir})
    others = "someone,tea-1,2026-09-01T10:00:00Z,2.99"
    _import(settings, tmp_path, lines=[LINE, others, f"{GONE},tea-2,never,1.99", "someone,tea-2,never,1.99"])
    _import(settings, tmp_path, name="again", lines=[LINE, others, f"{GONE},tea-3,never,1.99"])
    visit = json.dumps(EVENT | {"anonymous_id": "device-of-39"})
    _import(settings, tmp_path, events=True, name="visits", lines=[visit, json.dumps(EVENT | {"customer_id": "x"})])
    _import(settings, tmp_path, events=True, name="more", lines=[visit])
    instant = pl.lit(NOW)
    audience = pl.DataFrame({"customer_id": [GONE, "someone"], "campaign_id": "k"}).with_columns(assigned_at=instant)
    audience.write_parquet(settings.tables_dir / "coupon_audience.parquet")
    return settings


def _job(settings: Settings, outcome: dict[str, object]) -> Path:
    with Jobs(settings.uploads_dir).added({"file": "sales.csv"}, None) as (job, _):
        job.end(outcome)
    return job.folder


def test_nothing_of_the_person_is_left_in_the_data_directory(filled: Settings, valkey: str) -> None:
    folder = _job(filled, {"status": "done", "reports": [{"examples": {"a": f"line 3, {LINE}", "b": "line 4, x"}}]})
    assert {name.split("/")[0] for name in _traces(filled)} == {"history", "features", "tables", "rejects", "uploads"}
    counts = erase_from_files(filled, KEYS)
    assert _traces(filled) == {}
    assert all(counts.values()), counts
    assert counts.keys() == {place.name for place in PLACES}
    assert json.loads((folder / "outcome.json").read_text())["reports"][0]["examples"] == {
        "a": "(erased)", "b": "line 4, x"
    }  # fmt: skip
    assert erase_from_files(filled, KEYS) == dict.fromkeys(counts, 0)


def test_everybody_else_keeps_everything(filled: Settings) -> None:
    other = PersonKeys(frozenset({"someone", customer("tea", 3)}))
    before = list(found_in_files(filled, other))
    imports = list_imports(filled)
    erase_from_files(filled, KEYS)
    assert list(found_in_files(filled, other)) == before
    assert {name for name, _ in before} == {"history", "features", "coupon_outcomes", "rejects"}
    assert list_imports(filled) == imports


def test_what_files_hold_of_a_person_is_found_in_plain_json(filled: Settings) -> None:
    _job(filled, {"status": "done", "reports": [{"examples": {"a": f"line 3, {LINE}"}}]})
    found = list(found_in_files(filled, KEYS))
    assert json.loads(json.dumps(found)) == [list(each) for each in found]
    names = [name for name, _ in found]
    assert set(names) == {"history", "features", "coupon_outcomes", "rejects", "import_reports"}
    assert names.count("history") == History(filled.history_dir).of_person(KEYS).height
    assert {row.get("view") for name, row in found if name == "features"} >= {"customer_profile", "customer_purchases"}
    assert [row["line"] for name, row in found if name == "rejects"] == ["4", "4"]
    assert list(found_in_files(filled, PersonKeys())) == []


def test_what_killed_processes_left_goes_too(filled: Settings) -> None:
    left = filled.data_dir / ".import-killed"
    left.mkdir()
    for path in (left / "sales.csv", filled.rejects_dir / "sales.partial", filled.rejects_dir / ".tmp-1",
                 filled.features_dir / ".tmp-2", filled.tables_dir / "imports" / ".tmp-3",
                 filled.data_dir / ".coupons" / ".tmp-4"):  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.write_text(LINE)
    upload = Jobs(filled.uploads_dir).incoming("cut-off")
    upload.write_text(LINE)
    os.utime(upload, (0, 0))
    job = _job(filled, {"status": "done"})
    (job / "outcome.json").unlink()
    (job / "file").mkdir()
    (job / "file" / "sales.csv").write_text(LINE)
    erase_from_files(filled, KEYS)
    assert _traces(filled) == {}


def test_long_lines_of_rejects_are_read_without_changing_what_imports_take(filled: Settings) -> None:
    usual = csv.field_size_limit()
    (filled.rejects_dir / "long.csv").write_text(f"line,raw\n2,{'x' * 200_000} {LINE}\n")
    assert "long.csv" in {row.get("list") for _, row in found_in_files(filled, KEYS)}
    erase_from_files(filled, KEYS)
    assert _traces(filled) == {}
    assert csv.field_size_limit() == usual


def test_an_empty_data_directory_holds_nobody(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "var")
    assert list(found_in_files(settings, KEYS)) == []
    assert set(erase_from_files(settings, KEYS).values()) == {0}


_ERASE = """
import sys
from pathlib import Path
from app.customers.keys import PersonKeys
from app.erasure.files import erase_from_files
from app.settings import Settings
settings = Settings.load(data_dir=Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
erase_from_files(settings, PersonKeys(frozenset({sys.argv[2]}), frozenset({sys.argv[3]})))
"""


@pytest.mark.parametrize("seed", range(4))
def test_an_erasure_that_is_cut_off_anywhere_ends_the_same_when_called_again(filled: Settings, seed: int) -> None:
    command = [sys.executable, "-c", _ERASE, str(filled.data_dir), GONE, "device-of-39"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(random.Random(seed).uniform(0, 0.6))
        process.kill()
    erase_from_files(filled, KEYS)
    assert _traces(filled) == {}
    assert {name for name, _ in found_in_files(filled, PersonKeys(frozenset({"someone"})))} == {
        "history", "coupon_outcomes", "rejects"
    }  # fmt: skip


def test_lists_of_refused_rows_wait_for_imports_on_their_way(filled: Settings) -> None:
    with importing(filled.data_dir), pytest.raises(BlockingIOError):
        _try_alone(filled.data_dir / LOCK)
    _try_alone(filled.data_dir / LOCK)


def _try_alone(lock: Path) -> None:
    import fcntl

    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_bundles_and_evaluations_name_no_customer(trained_world: World) -> None:
    settings = trained_world.settings
    assert files_with(settings.history_dir, {b"lover-"})
    for folder in (settings.bundles_dir, settings.reports_dir):
        assert any(folder.iterdir())
        assert files_with(folder, {b"lover-"}) == {}


def test_a_customers_row_in_redis_is_deleted_and_no_other(valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        for name in ("90", "900"):
            client.hset(customer_key(name), "field", "value")
        assert forget_online(client, ["90", "unknown"]) == 1
        assert forget_online(client, ["90"]) == 0
        assert client.keys() == [customer_key("900")]


def test_snapshots_have_one_writer_at_a_time(tmp_path: Path) -> None:
    with snapshots_held(tmp_path), pytest.raises(BlockingIOError):
        _try_alone(tmp_path / ".lock")
    with turn(tmp_path / ".lock"):
        assert snapshot_files(tmp_path) == []
