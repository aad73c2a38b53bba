"""Reports of prices end in one price in any order, and a reduction names no price that was raised for it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from app.places.prices import (
    Price,
    PricePoint,
    PriceReport,
    PriceStatements,
    ReferenceRules,
    changes_of,
    in_store,
    recorded,
    reference_minor,
    without_repetitions,
)
from app.places.reports import HORIZON, SLACK, Outcome

START = datetime(2026, 3, 1, tzinfo=UTC)
RULES = ReferenceRules()
ORDERS = 4


def day(number: float) -> datetime:
    """So many days after the start."""
    return START + timedelta(days=number)


def points(*prices: tuple[float, int | None], currency: str = "EUR") -> list[PricePoint]:
    """A history by days."""
    return [PricePoint(day(number), Price.of(minor, currency)) for number, minor in prices]


def reference(
    history: Sequence[PricePoint],
    *,
    rules: ReferenceRules = RULES,
    is_perishable: bool = False,
    listed: float | None = None,
) -> int | None:
    """What the last price may be compared with, a minute after it took effect."""
    listed_at = None if listed is None else day(listed)
    now = history[-1].effective_at + timedelta(minutes=1)
    return reference_minor(history, now, rules=rules, is_perishable=is_perishable, listed_at=listed_at)


def reports_of(seed: int) -> list[PriceReport]:
    """What some senders report in a day; prices are few, times of one sender differ."""
    random = Random(seed)
    reports: list[PriceReport] = []
    for sender in range(random.randint(1, 3)):
        is_sequenced = random.random() < 0.5
        for sequence, second in enumerate(sorted(random.sample(range(86_400), k=random.randint(1, 12)))):
            at = START + timedelta(seconds=second, microseconds=sender)
            minor = random.choice([None, 499, 599, 699])
            number = sequence if is_sequenced else None
            reports.append(PriceReport(f"sender-{sender}", f"{sequence}", at, number, minor, "EUR"))
    return reports


def ended(reports: Sequence[PriceReport]) -> tuple[PriceStatements, dict[datetime, Price]]:
    """Statements and history after the reports, one after the other."""
    statements, history = PriceStatements(), dict[datetime, Price]()
    for report in reports:
        statements, _ = statements.applied(report)
        history = recorded(history, report, after=statements)
    return statements, history


@pytest.mark.parametrize("seed", range(100))
def test_any_order_and_repetition_ends_in_the_last_price_and_the_same_history(seed: int) -> None:
    reports = reports_of(seed)
    for order in range(ORDERS):
        random = Random(f"{seed} {order}")
        arriving = random.sample([*reports, *reports[::2]], k=len(reports) + len(reports[::2]))
        statements, history = ended(arriving)
        last = max(reports, key=lambda report: report.at)
        assert statements.current == PricePoint(last.at, last.price)
        assert history == {report.at: report.price for report in reports}
        assert PriceStatements.of_document(statements.document()) == statements


def test_sequence_and_not_the_clock_orders_one_sender() -> None:
    reports = [
        PriceReport("erp", "1", day(1), 8, 499, "EUR"),
        PriceReport("erp", "2", day(1) + timedelta(seconds=9), 7, 999, "EUR"),
    ]
    ends = [ended(order) for order in (reports, reports[::-1])]
    assert ends[0] == ends[1]
    assert changes_of(PricePoint(*point) for point in sorted(ends[0][1].items())) == points((1, 499))


def test_outcomes_of_reports() -> None:
    first = PriceReport("erp", "1", day(1), None, 499, "EUR")
    statements, outcome = PriceStatements().applied(first)
    assert outcome is Outcome.COUNTED
    assert statements.applied(first) == (statements, Outcome.DUPLICATE)
    assert statements.applied(PriceReport("pos", "1", day(0), None, 599, "EUR"))[1] is Outcome.SUPERSEDED


def test_settling_keeps_the_price_and_drops_streams_that_are_silent() -> None:
    statements, _ = ended([PriceReport(f"file-{number}", "1", day(number), None, 499, "EUR") for number in range(9)])
    settled = statements.settled(day(9))
    assert settled.current == statements.current
    assert len(settled.statements) == 2


def test_repetitions_end_with_the_horizon() -> None:
    history = points((0, 499), (1, 499), (2, 599), (3, 599), (9, 599))
    assert without_repetitions(history, now=day(9) + HORIZON) == points((0, 499), (2, 599), (9, 599))
    assert without_repetitions(history, now=day(9) + HORIZON + 2 * SLACK) == points((0, 499), (2, 599))


def test_reduction_names_the_lowest_price_of_the_30_days_before() -> None:
    assert reference(points((0, 999), (40, 899), (50, 949), (60, 799))) == 899


def test_raise_and_then_cut_names_no_price() -> None:
    # As in the case C-330/23: 1.29 until day 20, 1.69 for ten days, and "reduced" to 1.29, which is no reduction.
    assert reference(points((-40, 129), (20, 169), (30, 129))) is None
    # A cut below what it was before the raise names that, and not the raised price.
    assert reference(points((-40, 129), (20, 169), (30, 119))) == 129
    # Nor does a price that is still above it name any.
    assert reference(points((-40, 129), (20, 169), (30, 149))) is None


def test_price_from_before_the_window_counts_until_it_ended() -> None:
    history = points((-40, 129), (20, 169))
    # The 30 days before day 49.5 begin with half a day at the old price, those before day 50 at its end.
    assert reference([*history, *points((49.5, 149))]) is None
    assert reference([*history, *points((50, 149))]) == 169


def test_second_cut_names_the_first() -> None:
    assert reference(points((-40, 999), (10, 899), (12, 799))) == 899


def test_repeated_report_does_not_begin_a_price_again() -> None:
    assert reference(points((-40, 999), (10, 899), (60, 899))) == 999


def test_history_that_does_not_reach_back_names_no_price() -> None:
    assert reference(points((0, 999), (29, 799))) is None
    assert reference(points((0, 999), (30, 799))) == 999


def test_new_product_may_name_the_lowest_since_it_was_listed_where_that_is_allowed() -> None:
    history = points((1, 1099), (5, 999), (8, 1099), (10, 799))
    allowed = ReferenceRules(counts_from_listing=True)
    assert reference(history, rules=allowed, listed=0) == 999
    assert reference(history, rules=allowed, listed=9) == 1099
    assert reference(history, rules=allowed, listed=11) is None
    assert reference(history, rules=allowed, listed=-40) is None
    assert reference(history, listed=0) is None


def test_perishable_product_may_name_the_price_just_before_where_that_is_allowed() -> None:
    history = points((-40, 129), (20, 169), (30, 149))
    allowed = ReferenceRules(perishable_shelf_life_days=7)
    assert [allowed.is_perishable(days) for days in (None, 7, 8)] == [False, True, False]
    assert not RULES.is_perishable(1)
    assert reference(history, rules=allowed, is_perishable=True) == 169
    assert reference(points((20, 169), (30, 179)), rules=allowed, is_perishable=True) is None


def test_other_currency_and_time_without_price_are_not_known() -> None:
    assert reference([*points((-40, 999), currency="CHF"), *points((10, 799))]) is None
    assert reference(points((-40, 999), (10, None), (20, 799))) is None
    assert reference(points((-40, 999), (10, None))) is None


def test_store_without_a_price_of_its_own_sold_at_the_price_of_everywhere() -> None:
    own = points((10, 799), (20, None), (30, 749))
    everywhere = points((-40, 899), (25, 849))
    assert in_store(own, everywhere) == points((-40, 899), (10, 799), (20, 899), (25, 849), (30, 749))
    assert reference(in_store(own, everywhere)) == 799
    # Raised in this store for a few days, from what counts everywhere.
    assert reference(in_store(points((28, 1299), (30, 999)), everywhere)) is None


def test_price_that_is_not_in_effect_yet_is_left_out() -> None:
    history = points((-40, 999), (10, 899), (20, 799))
    assert reference_minor(history, day(15), rules=RULES) == 999
