"""Whose clock it is that counts, and what a clock that jumps can do."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.errors import StoreUnavailable
from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.clock import SteadyClock
from app.stores.sql.database.engine import Ledger, open_ledger

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def test_ledger_tells_the_time_of_its_database(ledger: Ledger) -> None:
    if ledger.engine.dialect.name == "postgresql":
        with pytest.raises(StoreUnavailable, match="not reached yet"):
            ledger.now()
        before = ledger.read(lambda connection: connection.execute(text("SELECT clock_timestamp()")).scalar_one())
    else:
        before = datetime.now(UTC)
    first, second = ledger.now(), ledger.now()
    assert before - SECOND < first <= second < before + 10 * SECOND
    assert first.tzinfo is UTC


def test_database_that_was_never_reached_has_no_time() -> None:
    ledger = open_ledger(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(StoreUnavailable):
        ledger.now()
    ledger.close()


def test_steady_clock_follows_no_jump_ahead_and_every_jump_back() -> None:
    began = datetime(2026, 12, 24, tzinfo=UTC)
    times = iter([began, began + DAY, began - DAY, began + 2 * DAY])
    steady = SteadyClock(lambda: next(times))
    assert steady.now() == began
    assert began <= steady.now() < began + 10 * SECOND
    assert steady.now() == began - DAY
    assert began <= steady.now() < began + 10 * SECOND
