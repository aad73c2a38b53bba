"""A chaos run in small: what must hold holds while a store is gone, and the run notices when it does not."""

from typing import Any

import pytest

from benchmarks.chaos.answers import first_whole
from benchmarks.chaos.run import run_fault
from benchmarks.chaos.stalls import Stalls
from benchmarks.chaos.verdict import broken_promises
from tests.support.world import World

SOUND: dict[str, dict[str, Any]] = {
    "decisions": {
        "answered_ratio": 1.0,
        "latency_ms_without_stalls": {"p99": 20.0},
        "not_fresh_and_not_flagged": 0,
        "of_these_not_flagged": 0,
    },
    "events": {"lost": 0, "doubled": 0, "without_an_answer_in_the_end": 0},
    "money": {
        "cents_off": 0,
        "accounts_that_do_not_add_up": [],
        "contradictions": [],
        "without_an_answer_in_the_end": 0,
    },
    "whole_again_s": {"decisions": 0.1, "events": 0.2, "orders": 0.3},
}


@pytest.mark.parametrize("fault", ["valkey-tail-broken", "ledger-lost"])
def test_store_that_is_gone_costs_no_answer_no_event_and_no_cent(trained_world: World, fault: str) -> None:
    # python -m benchmarks.chaos all: every fault, longer, and with a look at the clock.
    found: dict[str, Any] = run_fault(fault, trained_world.settings.data_dir, seconds=2, after_s=6)
    assert set(found["broken"]) <= {"p99"}, found
    assert found["events"]["accepted"] > 50
    assert found["money"]["redeemed"] > 50
    assert found["decisions"]["proven_fresh"] > 50


@pytest.mark.parametrize(
    ("part", "figure", "value", "promise"),
    [
        ("decisions", "answered_ratio", 0.998, "answered"),
        ("decisions", "latency_ms_without_stalls", {"p99": 201.0}, "p99"),
        ("decisions", "not_fresh_and_not_flagged", 1, "flagged"),
        ("decisions", "of_these_not_flagged", 1, "flagged"),
        ("events", "lost", 1, "events"),
        ("events", "doubled", 1, "events"),
        ("money", "cents_off", 1, "money"),
        ("money", "contradictions", ["order 1 got two different answers"], "money"),
        ("money", "without_an_answer_in_the_end", 1, "orders"),
        ("whole_again_s", "events", None, "whole again"),
        ("whole_again_s", "orders", 10.5, "whole again"),
    ],
)
def test_figure_that_is_off_breaks_its_promise(part: str, figure: str, value: object, promise: str) -> None:
    assert broken_promises(SOUND) == []
    assert broken_promises(SOUND | {part: SOUND[part] | {figure: value}}) == [promise]


def test_whole_again_is_the_first_of_enough_whole_answers_in_a_row() -> None:
    taken = [(10.0, 10.1, True), (11.0, 11.1, False), (12.0, 12.1, True), (13.0, 13.1, True)]
    assert first_whole(taken, since_at=10.0, count=2) == 2.1
    assert first_whole(taken, since_at=10.0, count=3) is None


def test_stalls_count_as_far_as_they_lie_within() -> None:
    stalls = Stalls()
    stalls.note(1.0, 2.0)
    stalls.note(4.0, 6.0)
    assert stalls.within(1.5, 5.0) == 1.5
    assert stalls.within(2.0, 4.0) == 0
