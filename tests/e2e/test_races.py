"""Fifty times as many orders as a campaign can pay, at once, from several processes: exactly so many win."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import redis

from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.engine import Ledger
from benchmarks.failures.constraints import CONSTRAINTS, race
from benchmarks.failures.workload import LoadGenerator
from tests.support.running import bare_environment, endcap
from tests.support.server import wait_until

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def load() -> Iterator[LoadGenerator]:
    """Processes that every race of this module runs with."""
    with LoadGenerator() as load:
        yield load


@pytest.fixture
def servers(ledger_url: str, valkey: str, tmp_path: Path) -> Iterator[list[str]]:
    """The addresses of two API processes on one ledger and one Redis."""
    environment = bare_environment() | {"ENDCAP_DATABASE_URL": ledger_url, "ENDCAP_REDIS_URL": valkey}
    ports = [free_port() for _ in range(2)]
    processes = [
        subprocess.Popen(
            [*endcap("serve"), "--port", str(port), "--data-dir", str(tmp_path)],
            env=environment | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        for port in ports
    ]
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    try:
        for address in addresses:
            wait_until(lambda address=address: answers(address), f"{address} answers")
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=20)


@pytest.mark.parametrize(("seed", "name"), list(enumerate(CONSTRAINTS)))
def test_exactly_as_many_orders_win_as_the_campaign_can_pay(
    ledger: Ledger, load: LoadGenerator, seed: int, name: str
) -> None:
    # benchmarks.failures.races does the same with many more seeds.
    result = race(ledger, load, CONSTRAINTS[name], winner_count=3, seed=seed, now=NOW)
    assert result.faults == ()
    assert result.winner_count == 3
    assert result.attempt_count > result.order_count, "some orders were sent again"


@pytest.mark.parametrize("name", ["budget", "campaign limit", "uses of a code"])
def test_claims_without_their_guards_overspend_and_are_noticed(ledger: Ledger, load: LoadGenerator, name: str) -> None:
    result = race(ledger, load, CONSTRAINTS[name], winner_count=3, seed=0, now=NOW, without_guards=True)
    assert result.winner_count > 3
    assert any("orders won, not 3" in fault for fault in result.faults)


def test_redis_flushed_amid_redemptions_changes_nothing(
    ledger: Ledger, servers: list[str], load: LoadGenerator, valkey: str
) -> None:
    with redis.Redis.from_url(valkey) as client:
        for seed, name in enumerate(("budget, one code", "budget, reserved")):
            result = race(
                ledger, load, CONSTRAINTS[name], winner_count=3, seed=seed, now=NOW,
                servers=servers, meanwhile=client.flushdb,
            )  # fmt: skip
            assert result.faults == ()
        assert client.info("commandstats")["cmdstat_flushdb"]["calls"] > 3


def answers(address: str) -> bool:
    """True once the server at this address answers."""
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False
