"""What `endcap doctor` says about the ledger, and about variables that no setting reads."""

from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app.commands.doctor import HealthCheck, examine
from app.settings import Settings
from app.stores.sql.database.engine import Ledger
from tests.support.postgres import EMPTY, PostgresServer


def test_ledger_with_this_schema_is_healthy(ledger_url: str, tmp_path: Path) -> None:
    found = check_of_ledger(Settings.load(data_dir=tmp_path, database_url=ledger_url))
    assert found.is_ok
    assert found.detail.endswith("schema current, writable")


def test_ledger_that_was_never_opened_is_healthy_and_stays_uncreated(tmp_path: Path) -> None:
    found = check_of_ledger(Settings.load(data_dir=tmp_path))
    assert found.is_ok
    assert "not created yet" in found.detail
    assert not (tmp_path / "ledger.db").exists()


def test_ledger_of_a_newer_endcap_is_a_failure(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    ledger.write(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    found = check_of_ledger(Settings.load(data_dir=tmp_path, database_url=ledger_url))
    assert not found.is_ok
    assert "schema 9999" in found.detail


def test_ledger_without_tables_is_a_failure_with_its_remedy(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database(template=EMPTY) as url:
        found = check_of_ledger(Settings.load(data_dir=tmp_path, database_url=url))
    assert not found.is_ok
    assert "the next start of a server migrates it" in found.detail


def test_ledger_that_takes_no_changes_is_a_failure(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database() as url, psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        connection.commit()
        found = check_of_ledger(Settings.load(data_dir=tmp_path, database_url=url.replace("postgres@", "reader@")))
        connection.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert not found.is_ok
    assert "nothing can be written: permission denied" in found.detail


def test_data_directory_that_takes_no_file_is_a_failure() -> None:
    # Not even root may write there, and its file system counts neither room nor inodes.
    check = next(one for one in examine(Settings.load(data_dir=Path("/proc"))) if one.part == "data directory")
    assert not check.is_ok
    assert check.detail.startswith("/proc takes no file")


def check_of_ledger(settings: Settings) -> HealthCheck:
    """The check of the ledger."""
    (found,) = [check for check in examine(settings) if check.part == "ledger"]
    return found


def test_misspelt_variable_is_reported_and_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDCAP_TIMEZONE", "Europe/Berlin")
    check = examine(Settings.load(data_dir=tmp_path))[0]
    assert check.is_ok
    assert check.detail.endswith("unknown variable ENDCAP_TIMEZONE: did you mean ENDCAP_TIME_ZONE?")
