"""Forgotten on request: a customer with data everywhere is nowhere afterwards, in no file and in no process."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from tests.e2e.processes.canary import (
    BYSTANDER,
    CANARY,
    DEVICE,
    NEEDLES,
    erase,
    event,
    found_in,
    pids,
    plant,
    receipt_of,
)
from tests.support.running import Up, command_of, endcap_up, run_endcap
from tests.support.server import wait_until
from tests.support.traces import as_written, files_with
from tests.support.world import World, product

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

DONE_WITHIN_S = 240.0
"""A busy machine may take long; benchmarks measure how long it takes on a quiet one."""


@pytest.fixture
def up(trained_world: World, tmp_path: Path) -> Iterator[Up]:
    """A service of its own on a copy of the small retailer."""
    data_dir = tmp_path / "var"
    shutil.copytree(trained_world.settings.data_dir, data_dir, ignore=shutil.ignore_patterns("valkey", "*.db*"))
    with endcap_up(data_dir) as running:
        yield running


def test_customer_who_was_erased_is_nowhere(up: Up, tmp_path: Path) -> None:
    plant(up)
    run_endcap(up.data_dir, "features")
    run_endcap(up.data_dir, "backup", str(tmp_path / "backup"))
    wait_until(lambda: files_with(up.data_dir / "history", NEEDLES), "the events are in the history")
    before = files_with(up.data_dir, NEEDLES)
    places = {name.split("/")[0].removesuffix("-wal") for name in before}
    assert places >= {"history", "features", "valkey", "ledger.db", "rejects"}
    assert sum(map(found_in, pids(up)))
    erasure_id = erase(up.client)
    wait_until(lambda: receipt_of(up.client, erasure_id), "it is done", timeout_s=DONE_WITHIN_S)
    assert files_with(up.data_dir, NEEDLES) == {}
    left = {" ".join(sorted(command_of(pid))): count for pid in pids(up) if (count := found_in(pid))}
    assert left == {}
    kept = json.dumps(up.client.get(f"/v1/customers/{BYSTANDER}/export").json())
    assert kept.count(BYSTANDER) > 10
    receipt = receipt_of(up.client, erasure_id)
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    late = [event("view_item", customer_id=CANARY, product_id=product("tea", 1)) for _ in range(100)]
    assert {row["code"] for row in up.send(late)} == {"erased"}
    assert up.send([event("view_item", anonymous_id=DEVICE, product_id=product("tea", 1))])[0]["code"] == "erased"
    assert "FAIL" not in run_endcap(up.data_dir, "doctor").replace("FAIL features", "").replace("FAIL event", "")
    assert "nothing of them is stored now" in run_endcap(
        up.data_dir, "verify-erasure", str(tmp_path / "receipt.json"), "--customer-id", CANARY
    )
    restored = tmp_path / "restored"
    assert "names of people who were erased since" in run_endcap(restored, "restore", str(tmp_path / "backup"))
    assert files_with(restored, NEEDLES) == {}
    assert files_with(restored, as_written(BYSTANDER))


def test_erasure_that_is_killed_again_and_again_ends_the_same(up: Up) -> None:
    plant(up)
    erasure_id, random = erase(up.client), Random(7)
    for _ in range(4):
        # Chance says where it is: within the first seconds, in which it works hardest.
        moment = datetime.now(UTC) + timedelta(seconds=random.uniform(0.1, 1.5))
        wait_until(lambda at=moment: datetime.now(UTC) > at, "the moment has come")
        wait_until(lambda: "worker" in up.parts(), "a worker runs")
        os.kill(up.parts()["worker"], signal.SIGKILL)
    wait_until(lambda: receipt_of(up.client, erasure_id), "it is done", timeout_s=DONE_WITHIN_S)
    assert files_with(up.data_dir, NEEDLES) == {}
