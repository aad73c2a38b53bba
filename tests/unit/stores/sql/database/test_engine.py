"""What the ledger does when its database cannot be had: it says so soon, and closes nothing in between."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from app.errors import StoreUnavailable
from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.engine import Ledger, open_ledger
from tests.support.postgres import PostgresServer
from tests.support.server import wait_until


def test_database_that_cannot_be_reached_is_reported_as_unavailable() -> None:
    ledger = open_ledger(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        ledger.read(lambda connection: connection.execute(text("SELECT 1")))
    ledger.close()


def test_folder_that_is_not_there_is_reported_at_once(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}")
    with pytest.raises(StoreUnavailable, match="unable to open"):
        ledger.write(lambda connection: connection.execute(text("SELECT 1")))


def test_file_that_is_no_database_is_named_and_not_taken_for_a_mistake_of_ours(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(StoreUnavailable, match="the file is damaged, restore it from a backup"):
        ledger.read(lambda connection: connection.execute(text("SELECT 1")))


def test_file_that_is_taken_away_takes_no_write_until_it_is_back(tmp_path: Path) -> None:
    """An open file can be written to wherever it was moved, or after it was deleted: that money would be lost."""
    file, elsewhere = tmp_path / "ledger.db", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with closing(open_ledger(f"sqlite:///{file}")) as ledger:
        ledger.write(lambda connection: connection.execute(text("CREATE TABLE t (n int)")))
        for path in tmp_path.glob("ledger.db*"):
            path.rename(elsewhere / path.name)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="the database file is gone"):
                ledger.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (1)")))
        assert not file.exists()
        with closing(open_ledger(f"sqlite:///{file}")) as other:
            other.write(lambda connection: connection.execute(text("CREATE TABLE t (n int)")))
        ledger.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (2)")))
        for path in elsewhere.iterdir():
            path.replace(tmp_path / path.name)
        assert _counts(ledger)


def test_frozen_database_costs_each_caller_its_limit_and_the_next_ones_nothing(postgres_server: PostgresServer) -> None:
    """Stopped processes keep their connections: without the limit nobody would ever be answered."""
    with postgres_server.database() as url, closing(open_ledger(url, limit_s=1.0)) as ledger:
        ledger.write(lambda connection: connection.execute(text("CREATE TABLE t (n int)")))
        with postgres_server.frozen():
            began = monotonic()
            with pytest.raises(StoreUnavailable, match="cannot be used"):
                ledger.write(lambda connection: connection.execute(text("INSERT INTO t VALUES (1)")))
            assert monotonic() - began < 30
            with pytest.raises(StoreUnavailable, match="away a moment ago"):
                ledger.read(lambda connection: connection.execute(text("SELECT 1")))
        wait_until(lambda: _counts(ledger), "the ledger is there again")


def _counts(ledger: Ledger) -> bool:
    """True when the ledger answers that nothing of the frozen write happened."""
    try:
        return bool(ledger.read(lambda c: c.execute(text("SELECT count(*) = 0 FROM t")).scalar_one()))
    except StoreUnavailable:
        return False


def test_connections_that_a_restart_broke_are_replaced_unseen(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url, closing(open_ledger(url)) as ledger:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ledger.read(lambda c: c.execute(text("SELECT pg_sleep(0.1)")).all()), range(4)))
        postgres_server.end_backends()
        for _ in range(4):
            assert ledger.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one()) == 1


def test_connection_that_is_in_use_when_the_ledger_closes_is_closed_with_its_work(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database() as url:
        ledger = open_ledger(url)

        def close_meanwhile(connection: Connection) -> Any:
            ledger.close()
            return connection.connection.dbapi_connection

        assert ledger.read(close_meanwhile).closed


def test_pool_without_a_connection_left_is_reported_as_unavailable(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}", pool_size=1, max_overflow=0, pool_timeout=0.01)
    ledger = Ledger(engine)
    with engine.connect(), pytest.raises(StoreUnavailable, match="no connection to spare"):
        ledger.read(lambda connection: connection.execute(text("SELECT 1")))
    ledger.close()
