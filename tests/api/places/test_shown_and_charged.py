"""What random customers are shown is what they pay, whatever changes in between; more in benchmarks.places.prices."""

from collections.abc import Iterator

import pytest

from benchmarks.places.market import Market
from benchmarks.places.prices import forgetful_till, opened_market, shown_and_charged
from tests.support.world import World


@pytest.fixture
def market(own_world: World, valkey: str) -> Iterator[Market]:
    with opened_market(own_world.settings, valkey, seed=7) as market:
        yield market


def test_what_is_shown_is_charged_and_what_a_coupon_saves_is_given(market: Market) -> None:
    audit = shown_and_charged(market, 20)
    assert audit.faults == []
    assert min(audit.changed_lines, audit.expired_lines, audit.coupons_paid) > 5


def test_control_a_till_that_forgets_what_was_shown_is_noticed(market: Market) -> None:
    with forgetful_till():
        audit = shown_and_charged(market, 10)
    assert any(" costs" in fault for fault in audit.faults)
    assert any(" is reduced by" in fault for fault in audit.faults)
