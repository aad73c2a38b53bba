"""Where more is viewed than bought, views teach what follows what, and queries come in the middle of visits."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tests.support.rows import history_of
from training.data.dataset import Dataset, load_interactions
from training.data.split import Split, make_splits, time_split
from training.learners.transitions import transitions
from training.queries.evaluation_queries import build_queries, sampled, with_baskets
from training.queries.states import LIVE_EVENT_COUNT, states_for

START = datetime(2026, 1, 1, tzinfo=UTC)
Event = tuple[str, str, float]


def history(*, views: list[Event], bought: list[Event]) -> pl.LazyFrame:
    """Events of (visitor, product, day); a visitor's events of one day are one session."""
    return history_of(
        {"type": kind, "customer_id": who, "product_id": what, "time": START + timedelta(days=day)}
        for kind, events in (("view_item", views), ("purchase", bought))
        for who, what, day in events
    )


def shop(*, views: list[Event], bought: list[Event]) -> Dataset:
    return load_interactions(history(views=views, bought=bought), None)


def names(data: Dataset, codes: list[int]) -> list[str]:
    return [data.customer_ids[code] for code in codes]


def chance(data: Dataset, before: str, after: str) -> float:
    found = transitions(data)
    row, column = data.product_ids.index(before), data.product_ids.index(after)
    score_of: dict[int, float] = dict(zip(found.index[row].tolist(), found.score[row].tolist(), strict=True))
    return score_of.get(column, 0.0)


LOOKS = [("ann", "a", 0.1), ("ann", "b", 0.2), ("bob", "only seen", 0.1), ("bob", "b", 0.2), ("bob", "a", 5)]


def test_views_teach_what_follows_what_and_which_products_there_are() -> None:
    data = shop(views=LOOKS, bought=[("ann", "c", 0.3)])
    assert data.product_ids == ["c", "a", "b", "only seen"]
    assert (data.bought_item_count, data.line_count) == (1, 1)
    assert data.views is not None
    assert sorted(data.views.visitor.tolist()) == [-1, -1, -1, 0, 0, 0]
    assert chance(data, "a", "b") > chance(data, "b", "a") > 0
    assert chance(data, "b", "c") > 0
    assert chance(data, "only seen", "b") > 0


def test_view_of_another_day_is_another_session() -> None:
    assert chance(shop(views=LOOKS, bought=[("ann", "c", 0.3)]), "b", "a") == chance(
        shop(views=LOOKS[:-1], bought=[("ann", "c", 0.3)]), "b", "a"
    )


def test_fewer_views_than_purchases_are_ignored() -> None:
    data = shop(views=LOOKS[:1], bought=[("ann", "b", 0.1), ("bob", "c", 0.2)])
    assert data.views is None
    assert data.product_ids == ["b", "c"]


def test_who_views_and_then_buys_for_the_first_time_has_a_query_in_between() -> None:
    old = [("old", "a", 0.0), ("old", "b", 100.0)]
    views = [("new", "early", 80), ("new", "x", 96), ("new", "y", 96.1), ("new", "late", 97), ("old", "z", 1)]
    data = shop(views=views, bought=[*old, ("new", "b", 96.2), ("other", "b", 96)])
    split = time_split(data)
    assert sorted(names(data, list(split.truth))) == ["new", "old"]
    queries = {
        names(data, [code])[0]: [data.product_ids[item] for item in items] for code, items in split.prefix.items()
    }
    assert queries == {"new": ["y", "x"]}
    assert split.train.views is not None
    assert split.train.views.day.max() < split.train.as_of_day


def regulars() -> Split:
    """Forty customers who view something and then buy, every week."""
    people, weeks = [f"c{number}" for number in range(40)], range(30)
    views = [(who, f"p{(week + 1) % 7}", 7.0 * week + part) for who in people for week in weeks for part in (0.1, 0.2)]
    bought = [(who, f"p{week % 7}", 7.0 * week + 0.3) for who in people for week in weeks]
    return make_splits(shop(views=views, bought=bought), seed=0)[0]


def test_half_of_those_who_viewed_have_queries_with_it_and_the_others_with_baskets() -> None:
    split = regulars()
    assert len(split.truth) == 40
    assert 10 < len(split.prefix) < 30
    queries = with_baskets(build_queries(split, {}, seed=0), split.train.product_ids, seed=0)
    assert sum(bool(query.recent) for query in queries.queries) == len(split.prefix)
    assert not any(query.recent and query.basket for query in queries.queries)


def test_views_of_the_last_weeks_are_live_events_before_the_query() -> None:
    views = [("ann", "long ago", 0.0), *[("ann", f"p{number}", 70 + number / 100) for number in range(120)]]
    bought = [("ann", "tea", day) for day in (0.0, 50.0, 100.0)] + [("bob", "tea", 1.0), ("bob", "tea", 99.0)]
    data = shop(views=views, bought=bought)
    split = time_split(data)
    codes = sorted(split.truth)
    states = states_for(history(views=views, bought=bought), None, split, codes)
    events = [event.product_id for event in states["ann"].events]
    assert events == [f"p{number}" for number in range(20, 120)]
    assert len(events) == LIVE_EVENT_COUNT
    features = states["ann"].features
    assert features is not None
    assert features.scalars["basket_count"] == 2
    assert list(states["bob"].events) == []


def test_longer_sessions_are_queried_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every view brings a query: a session of 11 views has ten times as many as one of 2."""
    monkeypatch.setattr("training.queries.evaluation_queries.MAX_CUSTOMERS", 60)
    views = [
        (f"{size}-{number}", f"p{step % 7}", 30 + number / 50 + step / 10_000)
        for size in (2, 11)
        for number in range(100)
        for step in range(size)
    ]
    early = [("early", f"p{step}", step * 2.5) for step in range(12)]
    split = make_splits(shop(views=[*views, *early], bought=[]), seed=0)[0]
    assert set(split.moments.values()) == {1, 10}
    queried = [split.moments[code] for code in sampled(split, seed=0)]
    assert len(queried) == 60
    assert queried.count(10) > 2 * queried.count(1) > 0
