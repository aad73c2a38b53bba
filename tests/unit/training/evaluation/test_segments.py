"""Evaluated customers in groups by activity, channel and store."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from app.history.rows import SCHEMA
from training.data.dataset import load_interactions
from training.data.split import Split, random_split, time_split
from training.evaluation.segments import OTHERS, UNKNOWN, activity, by_name, segments_of
from training.queries.evaluation_queries import EvaluationQueries, build_queries

START = datetime(2026, 1, 1, tzinfo=UTC)


def purchase(
    who: str, what: str, day: float, *, channel: str | None = None, store: str | None = None
) -> dict[str, object]:
    return {
        "type": "purchase",
        "time": START + timedelta(days=day),
        "customer_id": who,
        "product_id": what,
        "basket_id": f"{who}-{day}",
        "channel": channel,
        "store_id": store,
    }


def history(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=SCHEMA)


def queries_of(split: Split) -> EvaluationQueries:
    return build_queries(split, {}, seed=0)


def test_activity_makes_three_even_groups_of_baskets_before_the_cut() -> None:
    rows = [purchase(f"c{who}", "tea", day) for who in range(9) for day in range(who + 1)]
    rows += [purchase(f"c{who}", "tea", 100) for who in range(9)]
    split = time_split(load_interactions(history(*rows).lazy(), None))
    segment = activity(queries_of(split).codes, split)
    assert segment.names == ["1–3 baskets", "4–6 baskets", "7–9 baskets"]
    assert np.bincount(segment.code).tolist() == [3, 3, 3]


def test_equally_active_customers_are_one_group() -> None:
    rows = [purchase(f"c{who}", "tea", day) for who in range(5) for day in (0, 100)]
    split = time_split(load_interactions(history(*rows).lazy(), None))
    assert list(activity(queries_of(split).codes, split).names) == ["1 basket"]


def test_channel_and_store_are_those_of_the_held_out_basket() -> None:
    rows = [
        purchase("a", "tea", 0, channel="app", store="old"),
        purchase("a", "milk", 99, channel="store", store="s1"),
        purchase("a", "milk", 99.5, channel="web", store="s9"),
        purchase("b", "tea", 1, channel="app"),
        purchase("b", "tea", 98),
        purchase("c", "tea", 100, channel="app"),
    ]
    table = history(*rows)
    split = time_split(load_interactions(table.lazy(), None))
    groups = {segment.kind: segment for segment in segments_of(queries_of(split), split, table.lazy())}
    assert list(groups) == ["activity", "channel", "store"]
    named = {kind: [groups[kind].names[code] for code in groups[kind].code] for kind in ("channel", "store")}
    assert named == {"channel": ["store", UNKNOWN], "store": ["s1", UNKNOWN]}


def test_basket_is_found_for_anonymous_customers_too() -> None:
    rows = [purchase("a", "tea", day, store="s1") | {"customer_id": None, "anonymous_id": "dev"} for day in (0, 100)]
    table = history(*rows)
    split = time_split(load_interactions(table.lazy(), None))
    assert list(segments_of(queries_of(split), split, table.lazy())[2].names) == ["s1"]


def test_random_split_knows_activity_alone() -> None:
    table = history(*(purchase("a", f"p{day}", day, store="s") for day in range(9)))
    split = random_split(load_interactions(table.lazy(), None), seed=0)
    assert [segment.kind for segment in segments_of(queries_of(split), split, table.lazy())] == ["activity"]


def test_many_names_leave_the_largest_and_all_others() -> None:
    names = [f"s{number}" for number in range(8) for _ in range(9 - number)]
    segment = by_name("store", [*names, None])
    assert list(segment.names) == [*(f"s{number}" for number in range(6)), OTHERS, UNKNOWN]
    assert np.bincount(segment.code).tolist() == [9, 8, 7, 6, 5, 4, 5, 1]
