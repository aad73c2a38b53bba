"""Questions of the hours after a purchase: what they know, and what they ask for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from app.decision.customer.kinds import NO_BASKET
from app.domain import PURCHASE
from tests.support.rows import history_of
from training.data.dataset import Dataset, load_interactions
from training.data.split import Split, random_split, time_split
from training.queries.evaluation_queries import AFTER_PURCHASE, UNCOUNTED, build_queries, with_baskets
from training.queries.moments import EVERY, MAX_MINUTES, MIN_MINUTES, after_purchases
from training.ranking.leaks import check_times

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY_S = 86_400


def regulars(*, days_apart: float = 7.0, weeks: float = 40) -> Dataset:
    """Forty customers who buy two things, one basket after the other."""
    times = np.arange(0, 7 * weeks, days_apart)
    return load_interactions(
        history_of(
            {
                "type": "purchase",
                "customer_id": f"c{person:02}",
                "product_id": f"p{(turn + part) % 9}",
                "basket_id": f"{person}-{turn}",
                "time": START + timedelta(days=float(day) + person / 100),
            }
            for person in range(40)
            for turn, day in enumerate(times)
            for part in (0, 1)
        ),
        None,
    )


def lines_of(data: Dataset, split: Split, code: int) -> list[int]:
    """The lines of a customer between the cut and the end of what may be known."""
    assert split.end_day is not None
    there = (data.customer == code) & (data.day >= split.train.as_of_day) & (data.day < split.end_day)
    return np.flatnonzero(there).tolist()


def test_some_queries_lie_in_the_hours_after_a_purchase_and_ask_for_the_basket_after_it() -> None:
    data = regulars(days_apart=1.5)
    split = time_split(data)
    before = build_queries(split, {}, seed=0)
    after = after_purchases(before, data, split, seed=0)
    moved = [row for row, kind in enumerate(after.kinds()) if kind == AFTER_PURCHASE]
    assert moved == list(range(1, len(before), EVERY))
    check_times(after)
    for row in moved:
        lines = lines_of(data, split, after.codes[row])
        first, second = lines[:2], lines[2:4]
        minutes = (after.queries[row].now_at.timestamp() / DAY_S - data.day[first[0]]) * 24 * 60
        assert MIN_MINUTES - 1 < minutes < MAX_MINUTES + 1
        bought = {(event.type, event.product_id) for event in after.states[row].events}
        assert bought == {(PURCHASE, data.product_ids[data.item[line]]) for line in first}
        assert after.truth[row].tolist() == sorted(data.item[second].tolist())
    kept = [row for row in range(len(before)) if row not in moved]
    assert [after.queries[row] for row in kept] == [before.queries[row] for row in kept]


def test_basket_beyond_the_window_is_not_known() -> None:
    data = regulars(days_apart=1.9, weeks=2)
    split = time_split(data, windows_back=2)
    assert split.end_day is not None
    assert data.as_of_day > split.end_day
    queries = after_purchases(build_queries(split, {}, seed=0), data, split, seed=0)
    latest = {code: max(data.day[lines_of(data, split, code)]) for code in queries.codes}
    for query, state, code in zip(queries.queries, queries.states, queries.codes, strict=True):
        if state.events:
            assert query.now_at.timestamp() / DAY_S < latest[code] < split.end_day


def test_basket_that_comes_sooner_leaves_no_moment_in_between() -> None:
    data = regulars(days_apart=0.002, weeks=0.01)
    split = time_split(data)
    assert AFTER_PURCHASE not in after_purchases(build_queries(split, {}, seed=0), data, split, seed=0).kinds()


def test_basket_of_another_week_is_another_occasion_and_its_question_counts_for_no_kind() -> None:
    data = regulars()
    split = time_split(data)
    kinds = after_purchases(build_queries(split, {}, seed=0), data, split, seed=0).kinds()
    assert AFTER_PURCHASE not in kinds
    # Who came back sooner would be missing among those that count.
    assert [row for row, kind in enumerate(kinds) if kind == UNCOUNTED] == list(range(1, len(kinds), EVERY))


def test_question_left_without_a_basket_for_want_of_purchases_counts_for_no_kind() -> None:
    """Else, of customers without a basket, those who buy little would be counted twice as often."""
    data = regulars()
    split = time_split(data)
    some = build_queries(split, {}, seed=0)
    truth = [items[: 1 + row // 2 % 2] for row, items in enumerate(some.truth)]
    queries = with_baskets(replace(some, truth=truth), data.product_ids, seed=0)
    kinds = queries.kinds()
    assert {kind for row, kind in enumerate(kinds) if row % 2} == {NO_BASKET}
    single = [row for row in range(0, len(kinds), 2) if len(truth[row]) == 1]
    assert 0 < len(single) < len(kinds) / 2
    assert [row for row, kind in enumerate(kinds) if kind == UNCOUNTED] == single
    assert queries.only(single).kinds() == [UNCOUNTED] * len(single)


def test_without_times_nothing_moves() -> None:
    data = regulars()
    split = random_split(data, seed=0)
    before = build_queries(split, {}, seed=0)
    assert after_purchases(before, data, split, seed=0) is before
