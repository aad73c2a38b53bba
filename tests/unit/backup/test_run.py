"""A backup is whole or it is none, and a restore touches nothing that holds anything."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from app.backup.archive import DOCUMENT
from app.backup.run import back_up, restore
from app.errors import BadInput
from app.files import try_turn
from app.history import History
from app.history.table import FILES_LOCK
from app.imports.undo import list_imports, undo_import
from app.settings import Settings
from app.stores.redis.keys import RedisKeys
from tests.support.postgres import EMPTY, PostgresServer
from tests.support.world import World, no_progress

NOW = datetime(2026, 12, 24, tzinfo=UTC)
STREAM = RedisKeys(4).stream(1)


@pytest.fixture
def source(trained_world: World, valkey: str) -> Settings:
    """The trained world, with events that wait in another database of Redis than its features."""
    return trained_world.settings.model_copy(update={"redis_url": valkey})


@pytest.fixture
def there(tmp_path: Path, valkey: str) -> Settings:
    """Where to restore: a data directory that does not exist yet."""
    return Settings.load(data_dir=tmp_path / "restored", redis_url=valkey)


def backed_up(settings: Settings, target: Path) -> Path:
    back_up(settings, target, now=NOW, progress=no_progress)
    return target


def entries(url: str) -> list[Any]:
    with redis.Redis.from_url(url) as client:
        found: Any = client.xrange(STREAM)
        return list(found)


def refusal(settings: Settings, backup: Path) -> str:
    with pytest.raises(BadInput) as refused:
        restore(settings, backup, progress=no_progress)
    assert "\n" not in refused.value.message
    return refused.value.message


def test_events_come_back_under_the_ids_that_say_when_they_were_accepted(
    source: Settings, there: Settings, valkey: str, tmp_path: Path
) -> None:
    with redis.Redis.from_url(valkey) as client:
        for number in range(1, 2500):
            client.xadd(STREAM, {"e": bytes([0, number % 256])}, id=f"1700000000000-{number}")
        before = entries(valkey)
        backup = backed_up(source, tmp_path / "backup")
        assert f"stream {STREAM} of this Redis holds 2,499 events already" in refusal(there, backup)
        assert not there.data_dir.exists()
        client.flushdb()
    assert restore(there, backup, progress=no_progress)["waiting_events"] == 2499
    assert entries(valkey) == before


def test_erasures_wait_while_the_history_is_copied(source: Settings, tmp_path: Path) -> None:
    seen = {}

    def look(stage: str, *_: object) -> None:
        with try_turn(source.history_dir / FILES_LOCK) as is_free:
            seen[stage] = is_free

    back_up(source, tmp_path / "backup", now=NOW, progress=look)
    assert seen["history"] is False
    assert seen["ledger"] is True


def test_restore_refuses_a_data_directory_that_holds_anything(
    source: Settings, there: Settings, tmp_path: Path
) -> None:
    backup = backed_up(source, tmp_path / "backup")
    there.data_dir.mkdir()
    (there.data_dir / "ours").write_text("kept")
    assert "is not empty (it holds ours); name another --data-dir" in refusal(there, backup)
    assert (there.data_dir / "ours").read_text() == "kept"


def test_backup_goes_into_no_folder_that_holds_anything(source: Settings, tmp_path: Path) -> None:
    backup = backed_up(source, tmp_path / "backup")
    with pytest.raises(BadInput, match="is not empty"):
        backed_up(source, backup)


@pytest.mark.parametrize("harm", ["shorter", "missing", "unfinished", "changed document", "another stream"])
def test_damaged_backup_is_refused_before_anything_is_written(
    source: Settings, there: Settings, tmp_path: Path, valkey: str, harm: str
) -> None:
    with redis.Redis.from_url(valkey) as client:
        client.xadd(STREAM, {"e": b"event"})
    backup = backed_up(source, tmp_path / "backup")
    with redis.Redis.from_url(valkey) as client:
        client.flushdb()
    file, document = next((backup / "history").glob("*.parquet")), backup / DOCUMENT
    if harm == "shorter":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "missing":
        file.unlink()
    elif harm == "unfinished":
        document.unlink()
    elif harm == "changed document":
        document.write_bytes(document.read_bytes().replace(b"2026", b"2025", 1))
    else:
        there = there.model_copy(update={"stream_partition_count": 1})
    named = {"shorter": file.name, "missing": file.name, "another stream": "ENDCAP_STREAM_PARTITION_COUNT"}
    assert named.get(harm, DOCUMENT) in refusal(there, backup)
    assert not there.data_dir.exists()


def test_ledger_of_the_other_engine_is_refused_with_the_setting(
    source: Settings, there: Settings, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with postgres_server.database() as url:
        in_postgres = source.model_copy(update={"database_url": url})
        backup = backed_up(in_postgres, tmp_path / "backup")
        assert "set ENDCAP_DATABASE_URL to an empty database" in refusal(there, backup)
        full = there.model_copy(update={"database_url": url})
        assert "the database of ENDCAP_DATABASE_URL is not empty (it holds " in refusal(full, backup)
    with postgres_server.database(template=EMPTY) as url:
        restore(there.model_copy(update={"database_url": url}), backup, progress=no_progress)


def test_failed_backup_leaves_the_folder_empty(source: Settings, tmp_path: Path) -> None:
    # Nothing listens on that port.
    nowhere = source.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with pytest.raises(BadInput, match="pg_dump failed: "):
        backed_up(nowhere, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_postgres_without_its_tools_is_refused_by_their_name(
    source: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="pg_dump is not on the PATH; install PostgreSQL's client programs"):
        backed_up(source.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"}), tmp_path / "b")


def test_password_of_any_signs_goes_through_the_file_that_the_tools_read(
    source: Settings, there: Settings, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with postgres_server.database() as full, postgres_server.database(template=EMPTY) as empty:
        # The server asks for none; one with the signs that its file of passwords escapes must do no harm.
        urls = [url.replace("postgres@", "postgres:a%3Ab%5Cc@") for url in (full, empty)]
        backup = backed_up(source.model_copy(update={"database_url": urls[0]}), tmp_path / "backup")
        restore(there.model_copy(update={"database_url": urls[1]}), backup, progress=no_progress)


def test_what_came_in_can_be_taken_back_after_a_restore_too(source: Settings, there: Settings, tmp_path: Path) -> None:
    restore(there, backed_up(source, tmp_path / "backup"), progress=no_progress)
    listed = list_imports(there)
    assert [one.status for one in listed] == ["done", "done"]
    assert listed == list_imports(source)
    for one in listed:
        undo_import(there, one.record.import_id, now=NOW)
    assert History(there.history_dir).scan().collect().is_empty()
    assert not (there.tables_dir / "products.parquet").exists()
