"""Only what can be had here: stock of stores decides over what a slate shows, within a moment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.domain import Channel
from tests.api.places.conftest import eventually, level, shown

Json = dict[str, Any]
Report = Callable[..., list[Json]]
Decide = Callable[..., Json]


def test_nothing_is_lost_where_no_stock_is_kept(decide: Decide) -> None:
    slate = decide(store_id="s0")
    assert len(slate["propositions"]) > 50
    assert slate["eligible_count"] >= len(slate["propositions"])
    assert slate["degraded"] == [] or "stock_stale" not in slate["degraded"]


def test_only_what_the_store_has_is_shown_with_every_way_to_get_it(report: Report, decide: Decide) -> None:
    report(
        level("s0", "tea-1", 3),
        level("s0", "tea-2", 0),
        level("s1", "tea-2", 40),
        level("s1", "tea-3", 40),
        level("online", "tea-1", 100),
        level("online", "coffee-1", 100),
    )
    eventually(lambda: decide(store_id="s0")["eligible_count"] == 4)
    slate = decide(store_id="s0")
    ways = {
        one["product_id"]: [(option["way"], option["store_id"], option["quantity_left"]) for option in one["options"]]
        for one in slate["propositions"]
    }
    assert ways == {
        "tea-1": [("in_store", "s0", 3.0), ("pickup", "s0", 3.0), ("ship", "online", None)],
        "tea-2": [("pickup", "s1", None)],
        "tea-3": [("pickup", "s1", None)],
        "coffee-1": [("ship", "online", None)],
    }
    assert shown(decide(store_id="s0", fulfilment=["in_store"])) == {"tea-1"}
    assert shown(decide(pickup_store_id="s1")) == {"tea-2", "tea-3"}
    # Without any place what can be sent.
    assert shown(decide()) == {"tea-1", "coffee-1"}


def test_every_channel_can_buy_the_same_and_knows_the_same_versions(report: Report, decide: Decide) -> None:
    report(level("s0", "tea-1", 3), level("online", "coffee-1", 9))
    eventually(lambda: decide(store_id="s0")["eligible_count"] == 2)
    answers = [decide(store_id="s0", channel=channel.value) for channel in Channel]
    bought = [
        {
            (one["product_id"], option["way"], option["store_id"], option["price"]["amount_minor"])
            for one in answer["propositions"]
            for option in one["options"]
        }
        for answer in answers
    ]
    assert bought == [
        {("tea-1", "in_store", "s0", 250), ("tea-1", "pickup", "s0", 250), ("coffee-1", "ship", "online", 250)}
    ] * len(Channel)
    assert len({(answer["catalogue_version"], answer["price_version"]) for answer in answers}) == 1


def test_a_product_that_sells_out_leaves_the_next_answer(report: Report, decide: Decide) -> None:
    report(
        level("s0", "tea-1", 2),
        level("s0", "tea-2", 2),
    )
    eventually(lambda: shown(decide(store_id="s0", fulfilment=["in_store"])) == {"tea-1", "tea-2"})
    report({"store_id": "s0", "product_id": "tea-1", "change": -2})
    eventually(lambda: shown(decide(store_id="s0", fulfilment=["in_store"])) == {"tea-2"})


def test_a_filter_and_stock_hold_together(report: Report, decide: Decide, places_api: httpx.Client) -> None:
    report(
        level("s0", "tea-1", 2),
        level("s0", "coffee-1", 2),
    )
    body = {"placement": "app_home", "anonymous_id": "a", "filters": {"department": ["TEA"]}, "explain": True}
    context = {"store_id": "s0", "fulfilment": ["in_store"]}
    eventually(lambda: shown(places_api.post("/v1/decisions", json=body | {"context": context}).json()) == {"tea-1"})
    trace = places_api.post("/v1/decisions", json=body | {"context": context}).json()["trace"]
    assert 0 <= trace["staleness_seconds"] < 1


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (level("nowhere", "tea-1", 1), "store_not_found"),
        ({"product_id": "tea-1", "available": 1}, "invalid_event"),
        ({"store_id": "s0", "product_id": "tea-1"}, "invalid_event"),
        ({"store_id": "s0", "product_id": "tea-1", "available": 1, "change": 1}, "invalid_event"),
        ({"store_id": "s0", "product_id": "tea-1", "available": 1, "customer_id": "900"}, "invalid_event"),
        ({"store_id": "s0", "product_id": "tea-1", "available": 1, "time": "2026-01-01T00:00:00Z"}, "too_late"),
        ({"store_id": "s0", "product_id": "tea-1", "available": 1, "time": "2099-01-01T00:00:00Z"}, "time_in_future"),
    ],
)
def test_what_cannot_be_applied_is_rejected_with_its_reason(report: Report, event: Json, code: str) -> None:
    [result] = report(event)
    assert (result["status"], result["code"]) == ("rejected", code)
    assert result["detail"]


def test_repeated_reports_count_once_and_late_ones_lose(report: Report, places_api: httpx.Client) -> None:
    base = {"store_id": "s0", "product_id": "tea-1"}
    before, between = ((datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() for minutes in (60, 30))
    sold = base | {"id": "sold-1", "change": -1}
    results = report(base | {"available": 5, "time": between}, sold, sold, base | {"available": 9, "time": before})
    assert [(one["status"], one["code"]) for one in results] == [
        ("accepted", None), ("accepted", None), ("duplicate", None), ("accepted", "superseded"),
    ]  # fmt: skip
    [store] = places_api.get("/v1/stock/tea-1").json()["stores"]
    assert store == {"store_id": "s0", "quantity": 4.0, "reserved": 0.0, "available": 4.0}
