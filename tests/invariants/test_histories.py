"""Coupons, limits and budgets through any history, on both engines, compared with a reference model."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import event

from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from tests.invariants.conftest import STEPS
from tests.invariants.histories import Histories
from tests.support.postgres import PostgresServer

HAPPENED = {
    "redeemed 1", "redeemed 2", "redemption refused", "held", "reservation refused", "released", "reservation expired",
    "reservation redeemed", "overdue reservation in the way", "ReservationOver", "coupon expired", "revoked",
    "redeemed, then partly_returned", "partly_returned, then rolled_back", "redeemed, then rolled_back",
    "rolled_back, then rolled_back", "return refused", "there and back", "answered 200 again", "answered 201 again",
    "answered 409 again", "another body refused", "budget refused",
}  # fmt: skip


@pytest.fixture
def quick_ledger(tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """Gives a ledger that does not wait for the disk, emptied each time."""
    template = sqlite3.connect(tmp_path / "template.db")
    made = open_ledger(f"sqlite:///{tmp_path / 'template.db'}")
    upgrade(made)
    made.close()
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    event.listen(ledger.engine, "connect", _without_sync)

    def emptied() -> Ledger:
        connection = ledger.engine.raw_connection()
        template.backup(connection.driver_connection)  # type: ignore[arg-type]  # it is sqlite3's
        connection.close()
        return ledger

    yield emptied
    ledger.close()
    template.close()


def _without_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def test_any_history_keeps_budgets_limits_and_every_cent(
    quick_ledger: Callable[[], Ledger], request: pytest.FixtureRequest
) -> None:
    is_full = request.config.getoption("--hypothesis-profile") == "full"
    seen = tried(quick_ledger, settings.get_profile("full" if is_full else "suite"))
    assert {what for what in HAPPENED if not seen[what]} == set()


def test_any_history_on_postgresql_does_the_same(postgres_server: PostgresServer) -> None:
    with ExitStack() as opened:

        def emptied() -> Ledger:
            opened.close()
            ledger = open_ledger(opened.enter_context(postgres_server.database()))
            opened.callback(ledger.close)
            return ledger

        assert tried(emptied, settings.get_profile("few"))["there and back"]


def tried(emptied: Callable[[], Ledger], profile: settings) -> Counter[str]:
    """What happened in as many histories as the profile says."""
    seen: Counter[str] = Counter()

    def begun() -> Histories:
        return Histories(emptied(), seen)

    # Hypothesis may stop a run early unless it must not, which only this argument does.
    run_state_machine_as_test(begun, settings=profile, _min_steps=STEPS)  # type: ignore[arg-type]  # it only calls it
    assert seen["runs of 30 steps"] >= profile.max_examples
    return seen
