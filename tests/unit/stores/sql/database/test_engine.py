"""What the ledger does when its database cannot be had: it says so soon, and closes nothing in between."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from app.errors import StoreUnavailable
from app.stores.redis.embedded import free_port
from app.stores.sql.database.engine import Ledger, open_ledger


def test_database_that_cannot_be_reached_is_reported_as_unavailable() -> None:
    ledger = open_ledger(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        ledger.read(lambda connection: connection.execute(text("SELECT 1")))
    ledger.close()


def test_folder_that_is_not_there_is_reported_at_once(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}")
    with pytest.raises(StoreUnavailable, match="unable to open"):
        ledger.write(lambda connection: connection.execute(text("SELECT 1")))


def test_pool_without_a_connection_left_is_reported_as_unavailable(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}", pool_size=1, max_overflow=0, pool_timeout=0.01)
    ledger = Ledger(engine)
    with engine.connect(), pytest.raises(StoreUnavailable, match="no connection to spare"):
        ledger.read(lambda connection: connection.execute(text("SELECT 1")))
    ledger.close()
