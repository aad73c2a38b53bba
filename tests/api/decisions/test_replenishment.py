"""What a customer is likely to buy again, over HTTP on a real Valkey."""

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from tests.support.world import customer, product

NOW = "2026-10-01T00:00:00Z"
Answer = dict[str, Any]


def replenishment_of(api: httpx.Client, customer_id: str, **parameters: str | int) -> Answer:
    response = api.get(f"/v1/customers/{customer_id}/replenishment", params={"now": NOW, **parameters})
    assert response.status_code == 200, response.text
    answer: Answer = response.json()
    return answer


def by_product(answer: Answer) -> dict[str, Answer]:
    return {row["product_id"]: row for row in answer["items"]}


def test_weekly_staple_is_expected_first_and_within_the_week(api: httpx.Client) -> None:
    answer = replenishment_of(api, customer("tea", 3))
    first = answer["items"][0]
    assert (answer["level"], answer["horizon_days"], answer["degraded"]) == ("product", 7, [])
    assert (first["product_id"], first["name"], first["category"]) == (product("tea", 3), "The tea-3", None)
    assert first["probability"] > 0.8
    assert (first["bought_count"], first["mean_interval_days"]) == (25, 7.0)
    last = date.fromisoformat(first["last_bought"])
    days = (date(2026, 10, 1) - last).days
    assert first["reasons"] == [{"code": "buy_again", "text": f"You buy this about every 7 days, last {days} days ago"}]
    assert abs((date.fromisoformat(first["expected_date"]) - last).days - 7) <= 2


def test_most_likely_come_first_and_were_all_bought_twice(api: httpx.Client) -> None:
    rows = replenishment_of(api, customer("tea", 3))["items"]
    chances = [row["probability"] for row in rows]
    assert chances == sorted(chances, reverse=True)
    assert len(rows) > 5
    assert all(row["bought_count"] >= 2 for row in rows)


def test_probability_never_falls_with_the_horizon(api: httpx.Client) -> None:
    near, far = (by_product(replenishment_of(api, customer("tea", 3), horizon_days=days)) for days in (1, 56))
    assert set(near) == set(far)
    assert all(near[name]["probability"] <= far[name]["probability"] for name in near)
    assert near[product("tea", 9)]["expected_date"] == far[product("tea", 9)]["expected_date"]


def test_limit_keeps_the_most_likely(api: httpx.Client) -> None:
    everything = replenishment_of(api, customer("tea", 3))["items"]
    assert replenishment_of(api, customer("tea", 3), limit=2)["items"] == everything[:2]


def test_unknown_customer_gets_an_empty_flagged_list(api: httpx.Client, new_id: str) -> None:
    answer = replenishment_of(api, new_id)
    assert (answer["items"], answer["degraded"], answer["customer_id"]) == ([], ["customer_unknown"], new_id)


def test_purchases_of_this_minute_count_from_the_second_one_on(api: httpx.Client, new_id: str) -> None:
    now = datetime.now(UTC)
    purchase = {"type": "purchase", "time": now.isoformat(), "customer_id": new_id}
    bought = (product("tea", 1), product("tea", 1), product("tea", 2))
    rows = [
        purchase | {"id": f"{new_id}{number}", "product_id": name, "basket_id": f"b{number}"}
        for number, name in enumerate(bought)
    ]
    results = api.post("/v1/events", json={"events": rows}).json()["results"]
    assert [row["status"] for row in results] == ["accepted"] * 3
    answer = api.get(f"/v1/customers/{new_id}/replenishment").json()
    assert [(row["product_id"], row["bought_count"]) for row in answer["items"]] == [(product("tea", 1), 2)]
    assert answer["items"][0]["last_bought"] == now.date().isoformat()
    assert answer["items"][0]["mean_interval_days"] is None


def test_features_older_than_a_week_are_flagged_and_leave_the_last_purchase_out(api: httpx.Client) -> None:
    answer = replenishment_of(api, customer("tea", 3), now="2026-11-01T00:00:00Z")
    assert answer["degraded"] == ["features_stale"]
    assert answer["items"][0]["reasons"][0]["text"] == "You buy this about every 7 days"
    assert answer["items"][0]["expected_date"] >= "2026-11-01"


def test_categories_are_refused_where_the_catalogue_has_none(api: httpx.Client) -> None:
    response = api.get(f"/v1/customers/{customer('tea', 3)}/replenishment", params={"level": "category"})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["pointer"]) == (422, "bad_input", "/query/level")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "value"),
    [("horizon_days", 0), ("horizon_days", 57), ("limit", 5001), ("level", "brand"), ("now", "today"), ("horizon", 7)],
)
def test_parameter_out_of_bounds_is_refused_by_name(api: httpx.Client, name: str, value: int | str) -> None:
    response = api.get("/v1/customers/x/replenishment", params={name: value})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["pointer"]) == (422, "invalid_request", f"/query/{name}")


def test_the_last_instant_that_is_taken_is_no_obstacle(api: httpx.Client) -> None:
    assert replenishment_of(api, customer("tea", 3), now="2200-12-31T23:00:00Z")["items"]
