"""A running service is backed up and put back elsewhere: with its money, history, waiting events and live bundle."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.history import History
from app.model.bundle import current_version
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.tables import metadata
from tests.support.postgres import EMPTY, PostgresServer
from tests.support.rows import event_ids
from tests.support.running import Up, bare_environment, endcap, endcap_up
from tests.support.server import wait_until
from tests.support.shop import Shop, new_name, order
from tests.support.world import World, customer

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

NEVER_MS = 600_000
"""A worker that looks so seldom leaves events in their stream."""
Environments = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(params=["sqlite", "postgresql"])
def environments(request: pytest.FixtureRequest) -> Iterator[Environments]:
    """The variables of the original and of its restored copy, whose ledgers are on the same engine."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield {}, {}
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            urls = [stack.enter_context(server.database(template=EMPTY)) for _ in range(2)]
            yield {"ENDCAP_DATABASE_URL": urls[0]}, {"ENDCAP_DATABASE_URL": urls[1]}


@pytest.fixture
def data_dir(trained_world: World, tmp_path: Path) -> Path:
    """A data directory of the test's own with history, tables and a live bundle."""
    for name in ("bundles", "history", "tables"):
        shutil.copytree(trained_world.settings.data_dir / name, tmp_path / "original" / name)
    return tmp_path / "original"


def run(*words: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        endcap(*words), env=bare_environment() | dict(environment), capture_output=True, text=True, check=False
    )


def view(event_id: str) -> dict[str, Any]:
    who = {"customer_id": customer("tea", 1), "product_id": "tea-1"}
    return {"id": event_id, "type": "view_item", "time": "2026-10-01T00:00:00Z", "channel": "web", **who}


def rows(data_dir: Path, environment: Mapping[str, str]) -> dict[str, list[Any]]:
    """Every row of every table of a ledger."""
    ledger = open_ledger(environment.get("ENDCAP_DATABASE_URL", f"sqlite:///{data_dir / 'ledger.db'}"))
    try:
        return ledger.read(
            lambda connection: {
                name: sorted(map(repr, connection.execute(select(table)))) for name, table in metadata.tables.items()
            }
        )
    finally:
        ledger.close()


def history_ids(data_dir: Path) -> list[str]:
    return event_ids(History(data_dir / "history").scan())


def shop_of(up: Up) -> Shop:
    return Shop(up.client, "")


def test_restored_service_has_the_ledger_the_history_and_the_events_that_waited(
    environments: Environments, data_dir: Path, tmp_path: Path
) -> None:
    here, there = environments
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    with endcap_up(data_dir, environment=here | {"ENDCAP_WORKER_INTERVAL_MS": str(NEVER_MS)}) as up:
        shop = shop_of(up)
        offer = shop.offer()
        used, unused = (shop.give(offer, "anna")["code"] for _ in range(2))
        paid = {"order_id": new_name(), "customer_id": "anna", "codes": [used], **order(1000)}
        redemption = shop.post("/v1/redemptions", paid, key="the-first-redemption")
        # The first batch is stored at once; what comes then waits for the worker's next turn, which never comes.
        first = uuid4().hex
        up.send([view(first)])
        wait_until(lambda: first in history_ids(data_dir), "the first event is in the history")
        waiting = [uuid4().hex for _ in range(20)]
        assert {row["status"] for row in up.send([view(event_id) for event_id in waiting])} == {"accepted"}
        made = run("backup", str(backup), "--data-dir", str(data_dir), environment=here)
        assert made.returncode == 0, made.stderr
        assert "20 waiting events" in made.stdout
        put_back = run("restore", str(backup), "--data-dir", str(restored), environment=there)
        assert put_back.returncode == 0, put_back.stderr
        assert rows(restored, there) == rows(data_dir, here)
        assert history_ids(restored) == history_ids(data_dir)
    with endcap_up(restored, environment=there) as up:
        shop = shop_of(up)
        assert shop.post("/v1/redemptions", paid, key="the-first-redemption") == redemption
        assert shop.redeem(1000, codes=[unused], customer_id="anna")["discount_minor"] == 200
        decision = up.client.post(
            "/v1/decisions", json={"placement": "app_home", "customer_id": customer("tea", 1)}
        ).json()
        assert decision["model_version"] == current_version(data_dir / "bundles")
        assert len(decision["propositions"]) == 10
        wait_until(lambda: set(waiting) <= set(history_ids(restored)), "the events that waited are in the history")


def test_backup_under_load_loses_nothing_that_was_accepted_before_it(data_dir: Path, tmp_path: Path) -> None:
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    ended, accepted = Flag(), list[str]()

    def keep_selling(up: Up) -> None:
        shop = shop_of(up)
        offer = shop.offer()
        while not ended.is_set():
            code = shop.give(offer, "anna")["code"]
            shop.redeem(1000, codes=[code], customer_id="anna")
            sent = [uuid4().hex for _ in range(10)]
            up.send([view(event_id) for event_id in sent])
            accepted.extend(sent)

    with endcap_up(data_dir, environment={"ENDCAP_WORKER_INTERVAL_MS": "10"}) as up:
        selling = Thread(target=keep_selling, args=(up,))
        selling.start()
        try:
            wait_until(lambda: len(accepted) >= 50, "events come in")
            before = list(accepted)
            made = run("backup", str(backup), "--data-dir", str(data_dir), environment={})
            assert made.returncode == 0, made.stderr
        finally:
            ended.set()
            selling.join()
    put_back = run("restore", str(backup), "--data-dir", str(restored), environment={})
    assert put_back.returncode == 0, put_back.stderr
    ledger = open_ledger(f"sqlite:///{restored / 'ledger.db'}")
    assert ledger.read(reconcile) == []
    ledger.close()
    with endcap_up(restored):
        wait_until(lambda: set(before) <= set(history_ids(restored)), "every event of before is in the history")
