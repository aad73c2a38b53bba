"""The gate on every kind of history: a bundle learned from the same rows again is always let through."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from app.imports.run import Sources, run_imports
from app.model.bundle import current_version
from app.settings import Settings
from tests.api.decisions.test_small_retailers import HISTORIES
from tests.support.world import no_progress
from training.run import train

NOW = datetime(2026, 10, 1, tzinfo=UTC)
RANDOM = np.random.default_rng(0)
PAIRS = "customer_id,product_id\n" + "".join(
    f"{person},p{RANDOM.integers(40)}\n" for person in range(60) for _ in range(8)
)
VIEWS = "".join(
    f'{{"id": "{session}-{step}", "type": "view_item", "time": "2026-09-{1 + session % 28:02}T10:{step:02}:00Z", '
    f'"anonymous_id": "s{session}", "product_id": "p{RANDOM.integers(30)}"}}\n'
    for session in range(120)
    for step in range(6)
)


def trained_twice(settings: Settings, redis_url: str, sources: Sources) -> dict[str, str]:
    """What the gate of the second training said, by check; it was published."""
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    train(settings, redis_url, budget_s=0, seed=0, publish=True, progress=no_progress)
    report = train(settings, redis_url, budget_s=0, seed=0, publish=True, progress=no_progress)
    assert report.refusal is None
    assert current_version(settings.bundles_dir) == report.version
    assert report.gate is not None
    return {check.name: check.detail for check in report.gate.checks}


@pytest.mark.parametrize("name", HISTORIES)
def test_small_retailer_s_second_training_passes_with_a_note(name: str, tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "transactions.csv"
    path.write_text(HISTORIES[name])
    settings = Settings.load(data_dir=tmp_path / "var", redis_url=valkey)
    assert "not compared" in trained_twice(settings, valkey, Sources(transactions=path))["quality"]


def test_pairs_without_time_are_compared(tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "transactions.csv"
    path.write_text(PAIRS)
    settings = Settings.load(data_dir=tmp_path / "var", redis_url=valkey)
    found = trained_twice(settings, valkey, Sources(transactions=path))
    assert "live" in found["quality"]
    assert found["features"].startswith("60 customers")


def test_views_of_anonymous_sessions_are_compared(tmp_path: Path, valkey: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(VIEWS)
    settings = Settings.load(data_dir=tmp_path / "var", redis_url=valkey)
    found = trained_twice(settings, valkey, Sources(events=path))
    assert "live" in found["quality"]
    assert found["features"] == "no customer to compare"
