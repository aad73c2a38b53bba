"""A process that follows places knows what the database knows, notices when it does not, and catches up."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import update

from app.composition import places as composition
from app.composition.places import PlacesFollower
from app.places.live import STALE_AFTER_S, LivePlaces
from app.places.stock import StockReport
from app.places.stores import Fulfilment, Store, Way
from app.places.tables import LEVEL
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.place_tables import place_changes
from app.stores.sql.places.stock import apply_stock
from app.stores.sql.places.stores import put_stores, remove_store

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
STORES = [Store(f"s{number}", ways={Way.IN_STORE: Fulfilment()}) for number in range(3)]


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Process:
    """One process's places and follower, as `app.main` puts them together."""

    def __init__(self, ledger: Ledger, snapshot: Path) -> None:
        self.clock = Clock()
        self.places = LivePlaces(clock=self.clock, currency="EUR")
        gauge = Gauge("staleness", "of a test", registry=CollectorRegistry())
        self.follower = PlacesFollower(ledger, self.places, snapshot, gauge)

    def start(self) -> "Process":
        self.follower.load()
        return self.follow()

    def follow(self) -> "Process":
        asyncio.run(self.follower.follow())
        return self

    def available(self) -> set[tuple[str, str]]:
        tables = self.places.tables
        return {
            (store_id, product_id)
            for store_id, row in tables.row_of.items()
            for product_id, column in tables.column_of.items()
            if tables.codes(np.array([row]), np.array([column]))[0] & LEVEL
        }


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "places" / "live.npz"


def report(ledger: Ledger, seed: int, *, count: int = 200) -> None:
    """Random absolute quantities and changes at one instant of the seed's own."""
    random, at = np.random.default_rng(seed), NOW + timedelta(seconds=seed)
    rows = []
    for number in range(count):
        quantity = int(random.integers(-1, 3)) * 1000
        is_change = random.random() < 0.3
        given = {"change_milli": quantity} if is_change else {"quantity_milli": max(quantity, 0)}
        one = StockReport("erp", f"{seed}-{number}", at + timedelta(milliseconds=number), None, **given)
        rows.append((f"s{random.integers(3)}", f"p{random.integers(40)}", one))
    ledger.write(lambda connection: apply_stock(connection, rows, now=at + timedelta(minutes=1)))


def fresh(ledger: Ledger, folder: Path) -> set[tuple[str, str]]:
    return Process(ledger, folder / "none.npz").start().available()


@pytest.mark.parametrize("at_once", [7, 500])
def test_processes_agree_after_each_turn(
    ledger: Ledger, snapshot: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "AT_ONCE", at_once)
    ledger.write(lambda connection: put_stores(connection, STORES, now=NOW))
    first = Process(ledger, snapshot).start()
    for seed in range(5):
        report(ledger, seed)
        second = Process(ledger, snapshot).start()
        assert first.follow().available() == second.available()
        assert len(first.available()) > 20
    assert set(first.places.map.stores) == {"s0", "s1", "s2"}


def test_a_process_that_stood_still_flags_itself_until_it_has_caught_up(ledger: Ledger, snapshot: Path) -> None:
    process = Process(ledger, snapshot).start()
    process.clock.now_s += STALE_AFTER_S / 2
    assert process.places.staleness_s == STALE_AFTER_S / 2
    process.clock.now_s += 30
    assert process.places.staleness_s > STALE_AFTER_S
    assert process.follow().places.staleness_s == 0


def test_a_started_process_goes_on_from_the_snapshot(
    ledger: Ledger, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "SNAPSHOT_AFTER", 1)
    ledger.write(lambda connection: put_stores(connection, STORES, now=NOW))
    report(ledger, 0)
    first = Process(ledger, snapshot).start()
    asyncio.run(first.follower.write_snapshot())
    assert snapshot.exists()
    report(ledger, 1)
    monkeypatch.setattr(composition, "read_all", None)
    second = Process(ledger, snapshot).start()
    assert second.available() == first.follow().available()
    assert set(second.places.map.stores) == {"s0", "s1", "s2"}


def test_a_snapshot_of_another_database_is_not_used(
    ledger: Ledger, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "SNAPSHOT_AFTER", 1)
    report(ledger, 0)
    first = Process(ledger, snapshot).start()
    asyncio.run(first.follower.write_snapshot())
    ledger.write(
        lambda connection: connection.execute(
            update(place_changes).where(place_changes.c.name == "epoch").values(number=1)
        )
    )
    report(ledger, 1)
    assert Process(ledger, snapshot).start().available() == fresh(ledger, tmp_path)
    # The running one notices as well.
    assert first.follow().available() == fresh(ledger, tmp_path)


def test_a_database_that_is_away_at_start_is_read_when_it_comes(tmp_path: Path, ledger: Ledger) -> None:
    away = open_ledger("postgresql://nobody@127.0.0.1:1/none", limit_s=0.5)
    process = Process(away, tmp_path / "live.npz").start()
    assert process.places.staleness_s == float("inf")
    away.close()


def test_a_store_that_was_removed_is_gone_from_the_map(ledger: Ledger, snapshot: Path) -> None:
    ledger.write(lambda connection: put_stores(connection, STORES, now=NOW))
    process = Process(ledger, snapshot).start()
    ledger.write(lambda connection: remove_store(connection, "s1"))
    assert set(process.follow().places.map.stores) == {"s0", "s2"}
