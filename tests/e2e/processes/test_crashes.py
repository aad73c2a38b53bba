"""Servers killed -9 amid redemptions: the ledger stays right to the cent, and every key has one answer."""

from pathlib import Path

import pytest

from benchmarks.failures.crashes import run_crash_test


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_servers_killed_amid_redemptions_leave_one_answer_for_each_key(ledger_url: str, tmp_path: Path) -> None:
    # benchmarks.failures.crashes does the same with many more orders, on PostgreSQL too, which crashes there as well.
    found = run_crash_test(ledger_url, tmp_path, order_count=150, kill_count=4, seed=1, faults=[])
    assert found["faults"] == []
    assert isinstance(found["requests_cut_off"], int)
    assert found["requests_cut_off"] > 0
