"""Fifty times as many orders as a campaign can pay, at once, from several processes: exactly so many win."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.stores.ledger.engine import Ledger
from benchmarks.stakes import STAKES, race
from benchmarks.stampede import Crowd

# benchmarks.races runs many more of them.
RACES = [(name, 0) for name in STAKES] + [(name, 1) for name in STAKES if STAKES[name].has_budget]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    """Processes that every race of this module runs with."""
    with Crowd() as crowd:
        yield crowd


@pytest.mark.parametrize(("name", "seed"), RACES)
def test_exactly_as_many_orders_win_as_the_campaign_can_pay(ledger: Ledger, crowd: Crowd, name: str, seed: int) -> None:
    verdict = race(ledger, crowd, STAKES[name], winner_count=3, seed=seed, now=NOW)
    assert verdict.faults == ()
    assert verdict.winner_count == 3
    assert verdict.attempt_count > verdict.order_count, "some orders were sent again"


@pytest.mark.parametrize("name", ["budget", "campaign limit", "uses of a code"])
def test_claims_without_their_guards_are_found_out(ledger: Ledger, crowd: Crowd, name: str) -> None:
    verdict = race(ledger, crowd, STAKES[name], winner_count=3, seed=0, now=NOW, without_guards=True)
    assert verdict.winner_count > 3
    assert any("orders won, not 3" in fault for fault in verdict.faults)
