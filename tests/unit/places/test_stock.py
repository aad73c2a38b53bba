"""Reports of stock, late, repeated and in any order, end in the stock that their set amounts to."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random

import pytest

from app.errors import InvalidRequest
from app.places.reports import HORIZON, SLACK, Outcome, check_age
from app.places.stock import StockHistory, StockReport, available_milli
from tests.unit.places.stock_histories import HISTORIES, START, applied, arrivals, expected_milli, history_of

ORDERS = 4


def quantity(sender: str, milli: int, *, minute: float, sequence: int | None = None) -> StockReport:
    """An absolute quantity."""
    return StockReport(sender, f"q{minute}", at(minute), sequence, quantity_milli=milli)


def change(sender: str, milli: int, *, minute: float, sequence: int | None = None) -> StockReport:
    """A change, its event named for its minute."""
    return StockReport(sender, f"c{minute}", at(minute), sequence, change_milli=milli)


def at(minute: float) -> datetime:
    """So many minutes after the start."""
    return START + timedelta(minutes=minute)


def last_arrival_wins(reports: Iterable[StockReport]) -> int | None:
    """The control: what somebody holds who overwrites and adds up in the order of arrival."""
    known: int | None = None
    for report in reports:
        known = report.quantity_milli if report.quantity_milli is not None else known
        if report.change_milli is not None and known is not None:
            known += report.change_milli
    return known


@pytest.mark.parametrize("hundred", range(HISTORIES // 100))
def test_any_order_and_repetition_ends_in_the_stock_of_the_reference_model(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        reports = history_of(seed)
        ends = [applied(arrivals(reports, Random(f"{seed} {order}"))) for order in range(ORDERS)]
        assert {end.quantity_milli for end in ends} == {expected_milli(reports)}, seed
        assert all(end == ends[0] for end in ends), seed


def test_overwriting_in_the_order_of_arrival_fails_the_same_histories() -> None:
    wrong = [
        seed
        for seed in range(HISTORIES)
        if last_arrival_wins(arrivals(history_of(seed), Random(f"{seed} 0"))) != expected_milli(history_of(seed))
    ]
    assert len(wrong) > HISTORIES / 2


@pytest.mark.parametrize("seed", range(60))
def test_settling_on_the_way_ends_in_the_same_stock_from_bounded_records(seed: int) -> None:
    random = Random(seed)
    reports = history_of(seed, days=20)
    repeats = [report for report in reports if random.random() < 0.33]
    # Each comes at any time before it would be too late.
    arriving = sorted((r.at + HORIZON * random.random(), n, r) for n, r in enumerate([*reports, *repeats]))
    history = StockHistory()
    for now, _, report in arriving:
        assert check_age(report.at, now=now) is None
        history = history.applied(report)[0].settled(now)
        assert all(one.at_us >= (now - HORIZON - 2 * SLACK).timestamp() * 1e6 for one in history.changes)
    assert history.quantity_milli == expected_milli(reports)
    last = arriving[-1][0] if arriving else START
    rested = history.settled(last + 2 * HORIZON)
    assert (rested.changes, len(rested.statements) <= 1) == ((), True)
    assert rested.quantity_milli == history.quantity_milli


def test_history_survives_its_document() -> None:
    for seed in range(100):
        history = applied(history_of(seed))
        assert StockHistory.of_document(history.document()) == history


def test_changes_count_on_top_of_the_last_quantity() -> None:
    history = applied(
        [quantity("erp", 10_000, minute=0), change("till", -1000, minute=1), change("web", -500, minute=2)]
    )
    assert history.quantity_milli == 8500


def test_change_from_before_the_count_is_part_of_it() -> None:
    history, outcome = applied([quantity("erp", 10_000, minute=5)]).applied(change("till", -1000, minute=4))
    assert (history.quantity_milli, outcome) == (10_000, Outcome.SUPERSEDED)


def test_sequence_and_not_the_clock_orders_one_sender() -> None:
    counted = quantity("erp", 10_000, minute=5, sequence=7)
    history, outcome = applied([counted]).applied(change("erp", -1000, minute=4, sequence=8))
    assert (history.quantity_milli, outcome) == (9000, Outcome.COUNTED)
    history, outcome = history.applied(change("erp", -2000, minute=6, sequence=6))
    assert (history.quantity_milli, outcome) == (9000, Outcome.SUPERSEDED)


def test_quantity_of_the_sender_that_spoke_last_counts() -> None:
    history, outcome = applied([quantity("erp", 10_000, minute=5)]).applied(quantity("audit", 8000, minute=4))
    assert (history.quantity_milli, outcome) == (10_000, Outcome.SUPERSEDED)
    history, outcome = history.applied(quantity("audit", 7000, minute=6))
    assert (history.quantity_milli, outcome) == (7000, Outcome.COUNTED)


def test_lower_of_two_quantities_with_one_sequence_counts() -> None:
    both = [quantity("erp", 10_000, minute=0, sequence=1), quantity("erp", 9000, minute=0, sequence=1)]
    assert [applied(reports).quantity_milli for reports in (both, both[::-1])] == [9000, 9000]


def test_repetition_is_a_duplicate_without_effect() -> None:
    reports = [quantity("erp", 10_000, minute=0), change("till", -1000, minute=1)]
    history = applied(reports)
    assert [history.applied(report) for report in reports] == [(history, Outcome.DUPLICATE)] * 2


def test_quantity_is_unknown_before_the_first_absolute_and_changes_are_kept() -> None:
    history, outcome = StockHistory().applied(change("till", -1000, minute=2))
    assert (history.quantity_milli, outcome) == (None, Outcome.COUNTED)
    assert history.applied(quantity("erp", 5000, minute=1))[0].quantity_milli == 4000


def test_more_sold_than_known_is_kept_below_zero_and_promises_nothing() -> None:
    history = applied([quantity("erp", 1000, minute=0), change("till", -3000, minute=1)])
    assert history.quantity_milli == -2000
    assert available_milli(history.quantity_milli, reserved_milli=0) == 0
    assert available_milli(5000, reserved_milli=1500) == 3500
    assert available_milli(None, reserved_milli=0) is None


def test_quantity_at_an_instant_leaves_later_changes_out() -> None:
    history = applied(
        [quantity("erp", 9000, minute=0), change("till", -1000, minute=1), change("till", -500, minute=3)]
    )
    assert [history.quantity_at_milli(at(minute)) for minute in (0, 1, 2, 3)] == [9000, 8000, 8000, 7500]


def test_report_older_than_the_horizon_is_too_late() -> None:
    assert check_age(START, now=START + HORIZON) is None
    assert check_age(START, now=START + HORIZON + timedelta(microseconds=1)) is Outcome.TOO_LATE


def test_changes_without_any_quantity_end_with_the_horizon() -> None:
    history = applied([change("till", -1000, minute=0)])
    assert history.settled(START + HORIZON + SLACK) == history
    assert history.settled(START + HORIZON + SLACK + timedelta(seconds=1)) == StockHistory()


@pytest.mark.parametrize("amounts", [{}, {"quantity_milli": 1, "change_milli": 1}])
def test_report_is_a_quantity_or_a_change(amounts: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match="quantity or its change"):
        StockReport("till", "1", START, None, **amounts)
